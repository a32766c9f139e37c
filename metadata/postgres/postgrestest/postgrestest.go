// Package postgrestest gives tests a PostgreSQL database of their own, and looks at what a store does to it.
package postgrestest

import (
	"context"
	"crypto/rand"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"cofre/metadata/storetest"
)

// Server gives the URL of the server to test against: COFRE_TEST_POSTGRES, of a role that may create databases.
func Server(tb testing.TB) string {
	tb.Helper()
	return storetest.Server(tb, "postgres", "COFRE_TEST_POSTGRES")
}

// Database makes an empty database that ends with the test, and gives its URL.
func Database(tb testing.TB) string {
	tb.Helper()
	server := Server(tb)
	name := "cofre_" + strings.ToLower(rand.Text())
	Exec(tb, server, "CREATE DATABASE "+name)
	tb.Cleanup(func() {
		// Not WITH (FORCE): that stumbles over an autovacuum worker, which a plain DROP waits for.
		Exec(tb, server, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND usename = current_user`, name)
		Exec(tb, server, "DROP DATABASE "+name)
	})
	u, err := url.Parse(server)
	if err != nil {
		tb.Fatal("COFRE_TEST_POSTGRES is no URL") // the error would show the password
	}
	u.Path = "/" + name
	return u.String()
}

// Connect opens a connection past every store.
func Connect(tb testing.TB, url string) *pgx.Conn {
	tb.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		tb.Fatalf("connect: %v", err)
	}
	return conn
}

// Exec runs one statement on a connection of its own.
func Exec(tb testing.TB, url, statement string, args ...any) {
	tb.Helper()
	conn := Connect(tb, url)
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), statement, args...); err != nil {
		tb.Fatalf("%s: %v", statement, err)
	}
}

// Busy counts what clients of the database hold: advisory locks, and transactions that are open. Both are none where nothing is
// being done.
func Busy(tb testing.TB, url string) (n int) {
	tb.Helper()
	conn := Connect(tb, url)
	defer conn.Close(context.Background())
	err := conn.QueryRow(context.Background(), `
SELECT (SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
        WHERE l.locktype = 'advisory' AND d.datname = current_database())
     + (SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL AND backend_type = 'client backend')`).Scan(&n)
	if err != nil {
		tb.Fatalf("look at the database: %v", err)
	}
	return n
}
