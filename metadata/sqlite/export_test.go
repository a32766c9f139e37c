package sqlite

import (
	"context"
	"fmt"
)

// LimitPages makes the disk "full" once the file has grown by that many pages; 0 takes the limit away.
func (s *Store) LimitPages(pages int) error {
	return s.write.update(context.Background(), func(t *transaction) error {
		limit := 1 << 30
		if pages > 0 {
			var used int
			if _, err := t.row("PRAGMA page_count", nil, &used); err != nil {
				return err
			}
			limit = used + pages
		}
		var set int
		_, err := t.row(fmt.Sprintf("PRAGMA max_page_count = %d", limit), nil, &set)
		return err
	})
}

// Waiting says how many wait for the lock of a key.
func (s *Store) Waiting(bucket, key string) int {
	s.locks.mu.Lock()
	defer s.locks.mu.Unlock()
	return len(s.locks.waiting[keyLock(bucket, key)])
}

// Pragma gives a setting of the connection that writes.
func (s *Store) Pragma(name string) (value string, err error) {
	err = s.write.update(context.Background(), func(t *transaction) error {
		_, err := t.row("PRAGMA "+name, nil, &value)
		return err
	})
	return value, err
}
