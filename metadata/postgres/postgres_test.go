package postgres_test

import (
	"testing"

	"cofre/metadata"
	"cofre/metadata/storetest"
)

func TestConformance(t *testing.T) {
	s := newServer(t)
	storetest.Run(t, func(t *testing.T) metadata.Store { return s.open(t, s.database(t)) })
}

func Benchmark(b *testing.B) {
	s := newServer(b)
	storetest.Bench(b, s.open(b, s.database(b)))
}
