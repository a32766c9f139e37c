package audit

import (
	"context"
	"fmt"
	"slices"

	"cofre/keys"
	"cofre/metadata"
)

// store notes what changes keys, trust and credentials on its way to the metadata store: whoever changes them, the trail has it.
type store struct {
	metadata.Store
	trail *Trail
}

// Store puts the trail before a metadata store. An event is noted once the store has taken what it tells.
func (t *Trail) Store(s metadata.Store) metadata.Store { return store{s, t} }

func (s store) AddKEK(ctx context.Context, k keys.StoredKEK) (keys.StoredKEK, error) {
	stored, err := s.Store.AddKEK(ctx, k)
	if err == nil && stored.ID == k.ID {
		action := KEKImported
		if k.State == keys.Active {
			action = KEKMade
		}
		s.trail.Note(Event{Action: action, Bucket: k.Bucket, Subject: k.ID.String(), Detail: fmt.Sprintf("%s, made by site %s", stored.State, k.Creator)})
	}
	return stored, err
}

func (s store) SetKEKState(ctx context.Context, bucket string, id keys.KEKID, state keys.KEKState) error {
	err := s.Store.SetKEKState(ctx, bucket, id, state)
	if err == nil {
		action := KEKRotated
		if state == keys.Closed {
			action = KEKClosed
		}
		s.trail.Note(Event{Action: action, Bucket: bucket, Subject: id.String()})
	}
	return err
}

func (s store) CloseKEKs(ctx context.Context, bucket string) error {
	had := s.hadOpenKEKs(ctx, bucket)
	err := s.Store.CloseKEKs(ctx, bucket)
	if err == nil && had {
		s.trail.Note(Event{Action: KEKClosed, Bucket: bucket, Detail: "all that the bucket had: it was deleted, or made anew"})
	}
	return err
}

// hadOpenKEKs says whether closing all KEKs of a bucket closes any. Where that is not known it may.
func (s store) hadOpenKEKs(ctx context.Context, bucket string) bool {
	stored, err := s.KEKs(ctx, bucket)
	return err != nil || slices.ContainsFunc(stored, func(k keys.StoredKEK) bool { return k.State != keys.Closed })
}

func (s store) SetTrustList(ctx context.Context, number uint64, dsse []byte) error {
	_, before, _ := s.TrustList(ctx) // for the words of the event alone
	err := s.Store.SetTrustList(ctx, number, dsse)
	if err == nil {
		s.trail.Note(Event{Action: TrustChanged, Subject: fmt.Sprintf("number %d", number), Detail: trustChange(before, dsse)})
	}
	return err
}

func (s store) TakeIdentity(ctx context.Context, to keys.SiteID, number uint64, dsse []byte) error {
	err := s.Store.TakeIdentity(ctx, to, number, dsse)
	if err == nil {
		s.trail.Note(Event{Action: IdentityExchanged, Subject: fmt.Sprintf("number %d", number), Detail: "site " + to.String()})
	}
	return err
}

func (s store) AddCredential(ctx context.Context, c metadata.Credential) error {
	err := s.Store.AddCredential(ctx, c)
	if err == nil {
		s.trail.Note(Event{Action: CredentialMade, Subject: c.AccessKeyID, Detail: string(c.Grants)})
	}
	return err
}

func (s store) DeleteCredential(ctx context.Context, accessKeyID string) error {
	err := s.Store.DeleteCredential(ctx, accessKeyID)
	if err == nil {
		s.trail.Note(Event{Action: CredentialRemoved, Subject: accessKeyID})
	}
	return err
}

// system notes what is written to and removed from the system bucket about KEKs.
type system struct {
	keys.System
	trail *Trail
}

// System puts the trail before the system bucket.
func (t *Trail) System(s keys.System) keys.System { return system{s, t} }

func (s system) Put(ctx context.Context, name string, doc []byte) error {
	err := s.System.Put(ctx, name, doc)
	if err == nil {
		s.note(name, map[keys.DocumentKind]Action{keys.GrantDocument: GrantMade, keys.EndorsementDocument: KEKEndorsed})
	}
	return err
}

func (s system) Delete(ctx context.Context, name string) error {
	err := s.System.Delete(ctx, name)
	if err == nil {
		s.note(name, map[keys.DocumentKind]Action{keys.GrantDocument: GrantRemoved})
	}
	return err
}

func (s system) note(name string, actions map[keys.DocumentKind]Action) {
	d, ok := keys.ParseDocumentName(name)
	if action, noted := actions[d.Kind]; ok && noted {
		s.trail.Note(Event{Action: action, Bucket: d.Bucket, Subject: d.KEK.String(), Detail: "site " + d.Site.String()})
	}
}
