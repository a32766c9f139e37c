package proxy_test

// tolerates says that an answer of success may be imperfect where a fault struck: listings never leave a key out, but may show
// another size and ETag for one that could not be looked up (docs/RUNBOOK.md), and DeleteObjects tells of each key.
func (c *modelCall) tolerates() bool {
	switch c.Do {
	case "v1", "v2", "versions", "deletes":
		return true
	}
	return false
}

// faultyOutcomes gives what may come to be besides outcomes where a fault struck: a part of what the operation does, or the same
// twice. An answer of success still has to agree with the state that it leads to.
func (m *modelS3) faultyOutcomes(c *modelCall, all []outcome) (more []outcome) {
	b := m.buckets[c.Bucket]
	if b == nil {
		return nil
	}
	switch c.Do {
	case "delete":
		// The deletion was sent again, as every SDK does: two delete markers read as one.
		if next := all[0].next; next.buckets[c.Bucket] != nil {
			more = next.outcomes(c)
		}
	case "deletes":
		more = m.someDeletes(c)
	case "copy":
		for _, o := range all {
			// The copy is there, its tags were to be set by a request of their own.
			if o.want.status == 200 {
				more = append(more, untagged(o, c.Bucket, c.Key))
			}
		}
	case "upload":
		next := all[0].next.clone()
		for id, up := range next.buckets[c.Bucket].uploads {
			if isPending(id) && b.uploads[id].key == "" {
				up.dead = true
				next.buckets[c.Bucket].uploads[id] = up
				more = append(more, outcome{unanswered, next})
			}
		}
	case "part", "part-copy":
		if kept, ok := b.uploads[c.uploadID].parts[c.Part]; ok && m.allows(c) {
			next := m.clone()
			kept.torn = true
			next.buckets[c.Bucket].uploads[c.uploadID].parts[c.Part] = kept
			more = append(more, outcome{unanswered, next})
		}
	case "abort":
		if up, ok := b.uploads[c.uploadID]; ok && m.allows(c) {
			next := m.clone()
			up.dead = true
			next.buckets[c.Bucket].uploads[c.uploadID] = up
			more = append(more, outcome{unanswered, next}, outcome{noSuchUpload, all[0].next}) // sent again, and gone by then
		}
	case "drop":
		if all[0].want.status == 204 {
			more = append(more, outcome{refused(404, "NoSuchBucket"), all[0].next}) // sent again, and gone by then
		}
	case "complete":
		more = m.halfCompletes(c, all)
	}
	return more
}

// unanswered is an answer that nobody gets.
var unanswered = modelAnswer{status: -1}

// untagged is the outcome without the object's tags, which no answer of success may lead to.
func untagged(o outcome, bucket, key string) outcome {
	next := o.next.clone()
	next.buckets[bucket].latest(key).tags = ""
	return outcome{unanswered, next}
}

// someDeletes gives every combination of each key's deletion having been done not at all, once or twice.
func (m *modelS3) someDeletes(c *modelCall) []outcome {
	states := []*modelS3{m}
	for _, key := range c.deletes {
		one := *c
		one.deletes = []string{key}
		for _, s := range states {
			once := s.outcomes(&one)[0].next
			states = append(states, once, once.outcomes(&one)[0].next)
		}
	}
	var all []outcome
	for _, s := range states {
		all = append(all, outcome{unanswered, s})
	}
	return all
}

// halfCompletes gives the states between the beginning and the end of a Complete.
func (m *modelS3) halfCompletes(c *modelCall, all []outcome) (more []outcome) {
	up, open := m.buckets[c.Bucket].uploads[c.uploadID]
	if !open || !m.allows(c) || len(c.list) == 0 {
		return nil
	}
	if up.intent == "" {
		next := m.clone()
		up.intent = listText(c.list)
		next.buckets[c.Bucket].uploads[c.uploadID] = up
		more = append(more, outcome{unanswered, next})
	}
	for _, o := range all {
		j, done := o.next.buckets[c.Bucket].joined[c.uploadID]
		if !done || o.want.status != 200 {
			continue
		}
		// The object is there, and nobody noted that the upload is at its end.
		next := o.next.clone()
		listed := up
		listed.intent, listed.there = listText(c.list), j.version
		next.buckets[c.Bucket].uploads[c.uploadID] = listed
		delete(next.buckets[c.Bucket].joined, c.uploadID)
		noted := outcome{o.want, next}
		more = append(more, noted)
		if next.buckets[c.Bucket].shows(up.key, j.version) {
			more = append(more, untagged(noted, c.Bucket, up.key), untagged(o, c.Bucket, up.key))
		}
	}
	return more
}
