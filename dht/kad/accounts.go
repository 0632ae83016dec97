package kad

import "time"

// maxAccounts bounds the accounts of one kind.
const maxAccounts = 4096

// account is what one peer, or one address group, used: of this server, or through
// this node.
type account struct {
	requests, stores, strikes bucket
}

// accounts has at most maxAccounts accounts. The zero value is ready. It is not safe
// for concurrent use.
type accounts struct {
	byName    map[string]*account
	lastSweep time.Time // when accounts without usage were last removed
}

// of returns the account with a name. If there are too many, it first removes those
// without usage, then any.
func (l *accounts) of(name string, now time.Time) *account {
	if a := l.byName[name]; a != nil {
		return a
	}
	if l.byName == nil {
		l.byName = map[string]*account{}
	}
	if len(l.byName) >= maxAccounts && now.Sub(l.lastSweep).Abs() > time.Second {
		l.lastSweep = now
		for other, a := range l.byName {
			if a.requests.used(now)+a.stores.used(now)+a.strikes.used(now) == 0 {
				delete(l.byName, other)
			}
		}
	}
	for other := range l.byName {
		if len(l.byName) < maxAccounts {
			break
		}
		delete(l.byName, other)
	}
	a := &account{}
	l.byName[name] = a
	return a
}
