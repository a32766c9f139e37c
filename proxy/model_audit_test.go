package proxy_test

import (
	"fmt"
	"maps"
	"slices"

	gocmp "github.com/google/go-cmp/cmp"
)

// audit looks at everything, through every way there is.
func (r *modelRun) audit() error {
	for _, name := range []string{"a", "b"} {
		if err := r.steps(modelStep{Do: "versions", Bucket: name}, modelStep{Do: "v2", Bucket: name, At: 1}, modelStep{Do: "uploads", Bucket: name, Who: "reader"}); err != nil {
			return err
		}
		b := r.states[0].buckets[name]
		if b == nil {
			continue
		}
		if err := r.steps(modelStep{Do: "v1", Bucket: name, Delimiter: "/", MaxKeys: 2, At: 1}, modelStep{Do: "v2", Bucket: name, Prefix: "dir/", MaxKeys: 1, Who: "scoped"}); err != nil {
			return err
		}
		for _, key := range slices.Sorted(maps.Keys(b.keys)) {
			if err := r.auditKey(name, key, len(b.keys[key])); err != nil {
				return err
			}
		}
		for i := range len(b.uploads) {
			if err := r.steps(modelStep{Do: "parts", Bucket: name, Upload: i}); err != nil {
				return err
			}
		}
		if err := r.auditStorage(name); err != nil {
			return err
		}
		if r.verifies {
			if err := r.w.verify(r.bucket(name), r.faulted); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *modelRun) auditKey(bucket, key string, versions int) error {
	for i := range versions {
		if err := r.steps(
			modelStep{Do: "get", Bucket: bucket, Key: key, Version: fmt.Sprintf("#%d", i), At: i},
			modelStep{Do: "attributes", Bucket: bucket, Key: key, Version: fmt.Sprintf("#%d", i), At: i + 1}); err != nil {
			return err
		}
	}
	return r.steps(modelStep{Do: "head", Bucket: bucket, Key: key}, modelStep{Do: "tags", Bucket: bucket, Key: key, At: 1})
}

func (r *modelRun) steps(list ...modelStep) error {
	for _, s := range list {
		if err := r.step(s); err != nil {
			return err
		}
	}
	return nil
}

// auditStorage looks at the storage itself: it has these versions and no others.
func (r *modelRun) auditStorage(name string) error {
	have, err := r.stored(name)
	if err != nil {
		return err
	}
	want := map[string][]string{}
	for key, list := range r.states[0].buckets[name].keys {
		for _, v := range list {
			want[key] = append(want[key], v.id)
		}
	}
	for _, ids := range [...]map[string][]string{have, want} {
		for _, list := range ids {
			slices.Sort(list)
		}
	}
	if diff := gocmp.Diff(want, have); diff != "" {
		return fmt.Errorf("the storage has other versions than there are: -want +have\n%s", diff)
	}
	return nil
}
