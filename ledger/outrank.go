package ledger

// RemovesUnderLaterKey reports whether one of the exchanged entries, all of the given device,
// which is removed here, is a removal that a later identity key signed than the one that removed
// the device, by steps that the ledger follows. Such a removal is settled before that one. A device
// without the later key makes none: the statement names its entry, and the chain of keys from the
// genesis identity. The rest of the entries is not verified, and a merge decides what counts.
func (l *Ledger) RemovesUnderLaterKey(device DeviceID, entries [][]byte) (later bool, err error) {
	err = l.write(func(w *writing) error {
		s, err := w.settling()
		if err != nil {
			return err
		}
		end, removed := s.ends[device]
		for _, b := range entries {
			raw, body, _, err := parseWire(b)
			if err != nil {
				later = false
				return nil
			}
			e, err := parseEntry(w.st.book, raw)
			if err != nil || e.id.Device != device {
				later = false
				return nil
			}
			if e.kind != KindRemove || !removed {
				continue
			}
			r, err := parseRemoval(body, w.st.book, w.st.identity, e.id)
			later = later || err == nil && r.steps > end.steps && w.st.followed.accepts(r.chain)
		}
		return nil
	})
	return later, err
}
