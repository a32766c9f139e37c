package postgres_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"cofre/metadata/postgres"
	"cofre/metadata/postgres/postgrestest"
)

// server is the PostgreSQL to test against.
type server struct {
	testing.TB
	url string
}

func newServer(tb testing.TB) server {
	tb.Helper()
	return server{TB: tb, url: postgrestest.Server(tb)}
}

// database makes an empty database that ends with the test, and gives its URL.
func (s server) database(tb testing.TB) string {
	tb.Helper()
	return postgrestest.Database(tb)
}

// open opens a store that is closed with the test.
func (s server) open(tb testing.TB, url string) *postgres.Store {
	tb.Helper()
	store, err := postgres.Open(context.Background(), url, postgres.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { store.Close() })
	return store
}

// exec runs one statement on a connection of its own.
func exec(tb testing.TB, url, statement string, args ...any) {
	tb.Helper()
	postgrestest.Exec(tb, url, statement, args...)
}

func connect(tb testing.TB, url string) *pgx.Conn {
	tb.Helper()
	return postgrestest.Connect(tb, url)
}
