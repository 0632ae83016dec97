package agent

import "github.com/petnames-go/petnames/petname/home"

// NewKey makes a damaged or missing sealing.key or peer.key of the home anew: see
// [home.Home.NewKey]. After sealing.key the owner has to publish, so that contacts seal
// messages to the new keys; those that were sealed to former keys cannot be read. After
// peer.key the node has another address once it is started again.
func (a *Agent) NewKey(file string) (aside string, err error) {
	a.publishing.Lock()
	defer a.publishing.Unlock()
	now := a.now()
	if newest := a.newestEntry(); newest.After(now) {
		now = newest // this clock is behind, and the file that is set aside would be erased too early
	}
	aside, err = a.home.NewKey(file, now)
	a.notices.Lock()
	defer a.notices.Unlock()
	if err == nil && home.LostKey(a.missing) == file {
		a.missing = nil
	}
	return aside, err
}

// LostKeys returns the names of the key files that are damaged or missing, and that
// [Agent.NewKey] can make anew.
func (a *Agent) LostKeys() []string { return a.home.LostKeys() }
