//go:build !unix

package sqlite

import (
	"errors"
	"os"
)

// lockFile refuses: without a lock that ends with the process, two processes could share the file and both believe that
// the locks of package sqlite are theirs alone.
func lockFile(string) (*os.File, error) { return nil, errors.ErrUnsupported }
