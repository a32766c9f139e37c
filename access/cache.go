package access

import (
	"container/list"
	"sync"
	"time"
)

// cache remembers values with the time from which their age counts. The one used longest ago makes room for a new one.
type cache[V any] struct {
	mu    sync.Mutex // guards all below
	size  int
	items map[string]*list.Element
	order *list.List // of *cacheItem[V], the one used last in front
}

type cacheItem[V any] struct {
	key   string
	value V
	since time.Time
}

func newCache[V any](size int) *cache[V] {
	return &cache[V]{size: size, items: map[string]*list.Element{}, order: list.New()}
}

// get gives a value and its age.
func (c *cache[V]) get(key string, now time.Time) (value V, age time.Duration, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.items[key]
	if !ok {
		return value, 0, false
	}
	c.order.MoveToFront(e)
	item := e.Value.(*cacheItem[V])
	return item.value, now.Sub(item.since), true
}

// look gives a value and leaves its place in the order.
func (c *cache[V]) look(key string) (value V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.items[key]
	if !ok {
		return value, false
	}
	return e.Value.(*cacheItem[V]).value, true
}

func (c *cache[V]) put(key string, value V, since time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.items[key]; ok {
		e.Value = &cacheItem[V]{key, value, since}
		c.order.MoveToFront(e)
		return
	}
	for len(c.items) >= c.size {
		oldest := c.order.Back()
		delete(c.items, c.order.Remove(oldest).(*cacheItem[V]).key)
	}
	c.items[key] = c.order.PushFront(&cacheItem[V]{key, value, since})
}

func (c *cache[V]) remove(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.items[key]; ok {
		c.order.Remove(e)
		delete(c.items, key)
	}
}
