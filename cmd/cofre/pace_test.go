package main

import "testing"

func TestPacerLetsAChunkThroughAtAnyRate(t *testing.T) {
	for _, limit := range []Size{0, 1, 1 << 20} {
		if err := pacer(limit)(t.Context(), 64<<10); err != nil {
			t.Errorf("at %v per second: %v", limit, err)
		}
	}
}

func TestRatesAndSharesAreReadAsTheyAreMeant(t *testing.T) {
	for text, want := range map[string]Size{"": 0, "1": 1, "50MiB": 50 << 20} {
		if got, err := parseRate(text); err != nil || got != want {
			t.Errorf("rate %q is %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"0", "-1", "fast", "50MB"} {
		if got, err := parseRate(text); err == nil {
			t.Errorf("rate %q is %v", text, got)
		}
	}
	for _, text := range []string{"0%", "101%", "NaN%", "-1%", "5", "some", "%"} {
		if _, _, err := (verifyPlan{read: text}).parse(); err == nil {
			t.Errorf("share %q was taken", text)
		}
	}
	if chosen, _, err := (verifyPlan{read: "none"}).parse(); chosen != nil || err != nil {
		t.Errorf("none chooses, %v", err)
	}
	half := 0
	chosen, _, err := verifyPlan{read: "50%"}.parse()
	if err != nil {
		t.Fatal(err)
	}
	for range 2000 {
		if chosen() {
			half++
		}
	}
	if half < 700 || half > 1300 { // ten standard deviations and more
		t.Errorf("a share of 50%% chose %d of 2000", half)
	}
}
