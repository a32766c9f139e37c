package proxy_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// registers is what clients asked at the same time and were answered, as porcupine judges it: each key is a register, and an
// operation takes effect at one moment between its request and its answer.
type registers struct {
	mu  sync.Mutex
	all []porcupine.Operation
	// began is the origin of the times, by the monotonic clock.
	began time.Time
}

// asked is what a client wanted of a key.
type asked struct {
	key string
	do  string // "read", "write", "delete"
	// value is the ETag written; only is the condition of the write: "" for none, "*" for no object, else the ETag that must be there.
	value, only string
}

// saw is what the client was answered: the ETag that was read, "" for no object; or that the write was done, was refused because
// of its condition, or that nobody knows.
type saw struct {
	value  string
	result string // "ok", "refused", "unknown"
}

// ask notes an operation around do, which sends it.
func (h *registers) ask(client int, in asked, do func() saw) saw {
	call := time.Since(h.began)
	out := do()
	back := time.Since(h.began)
	h.mu.Lock()
	defer h.mu.Unlock()
	op := porcupine.Operation{ClientId: client, Input: in, Call: int64(call), Output: out, Return: int64(back)}
	if out.result == "unknown" {
		if in.do == "read" {
			return out // it says nothing
		}
		op.Return = int64(time.Hour) // it may take effect at any time from here on, or never
	}
	h.all = append(h.all, op)
	return out
}

// read notes that a listing showed this of a key.
func (h *registers) read(client int, key, etag string, call, back time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, porcupine.Operation{
		ClientId: client, Input: asked{key: key, do: "read"}, Call: int64(call), Output: saw{value: etag, result: "ok"}, Return: int64(back),
	})
}

// register is a key of an S3 bucket: its state is the ETag of the object, empty where there is none.
var register = porcupine.Model{
	Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[string][]porcupine.Operation{}
		var keys []string
		for _, op := range all {
			key := op.Input.(asked).key
			if byKey[key] == nil {
				keys = append(keys, key)
			}
			byKey[key] = append(byKey[key], op)
		}
		var parts [][]porcupine.Operation
		for _, key := range keys {
			parts = append(parts, byKey[key])
		}
		return parts
	},
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		now, in, out := state.(string), input.(asked), output.(saw)
		holds := in.only == "" || in.only == "*" && now == "" || in.only == now
		next := in.value // of a deletion: none
		switch {
		case in.do == "read":
			return out.value == now, now
		case out.result == "refused":
			return !holds, now
		case out.result == "unknown" && !holds:
			return true, now
		default:
			return holds, next
		}
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
}

// check wants an order in which the operations could have been done one after another.
func (h *registers) check() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, part := range register.Partition(h.all) {
		result := porcupine.CheckOperationsTimeout(register, part, time.Minute)
		if result == porcupine.Ok {
			continue
		}
		slices.SortFunc(part, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
		var lines []string
		for _, op := range part {
			lines = append(lines, fmt.Sprintf("%12d %12d client %d %+v -> %+v", op.Call, op.Return, op.ClientId, op.Input, op.Output))
		}
		return fmt.Errorf("no order explains this history (%s):\n%s", result, strings.Join(lines, "\n"))
	}
	return nil
}
