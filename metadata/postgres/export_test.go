package postgres

import "time"

// The statements whose plans tests look at.
const (
	ScanPage      = scanPage
	LookupPage    = lookupPage
	RestOfKey     = restOfKey
	RowsBehindKey = rowsBehindKey
	TombstoneRow  = tombstoneRow
	AddReplacing  = addReplacing
	LatestRecord  = latest
	LatestVersion = latestVersion
	ByEnvelope    = byEnvelope
	KnownVersion  = knownVersion
	RecordParts   = recordParts
	UploadsPage   = uploadsPage
	NewestParts   = newestParts
	SweepUploads  = sweepUploads

	SweepTombstones = sweepTombstones
	SweepTombstone  = sweepTombstone
	SweepParts      = sweepParts
	LayoutsInUse    = layoutsInUse
)

// Clock lets tests feed samples to a clock.
type Clock struct{ clock }

// Add takes a sample.
func (c *Clock) Add(t0, store, t1 time.Time) { c.add(t0, store, t1) }

// Now is the bound at the local time t.
func (c *Clock) Now(t time.Time) time.Time { return c.now(t) }
