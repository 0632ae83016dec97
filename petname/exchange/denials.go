package exchange

import (
	"bytes"

	"github.com/petnames-go/petnames/ledger"
	"github.com/petnames-go/petnames/petname/introduce"
)

// TakeDenials returns the denials that were received from contacts since the last call, in
// whatever process, each once. The book keeps them.
func (e *Exchange) TakeDenials() ([]introduce.Denial, error) {
	var rows []ledger.KV
	err := e.view(func(local *ledger.View) error {
		for row, err := range local.Scan(tableDenials, nil) {
			if err != nil {
				return err
			}
			rows = append(rows, ledger.KV{Key: bytes.Clone(row.Key), Value: bytes.Clone(row.Value)})
		}
		return nil
	})
	if err != nil || len(rows) == 0 { // usually there is nothing to write
		return nil, err
	}
	var all []introduce.Denial
	err = e.update(func(tx tx) error {
		for _, row := range rows {
			s, err := introduce.Open(row.Value, introduce.KindDenial)
			if err != nil {
				return err
			}
			d, _ := s.Denial()
			all = append(all, d)
			if err := tx.local.Delete(tableDenials, row.Key); err != nil {
				return err
			}
		}
		return nil
	})
	return all, err
}
