package engine

import (
	"context"
	"errors"
	"time"

	"sallyport/engine/record"
)

// coaPatience is how long a stop waits for NASes to answer what is in flight. What is
// not answered by then stays open in the journal and is sent again at the next start.
const coaPatience = 2 * time.Second

func (e *Engine) closeCoA(ctx context.Context) error {
	patient, cancel := context.WithTimeout(ctx, coaPatience)
	defer cancel()
	if err := e.coa.Close(patient); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// Drain ends the engine after its sockets stopped reading: logins that are being
// hashed finish, the core takes what waits, changes in flight are settled or stay in
// the journal as open, the journal is flushed. When ctx ends first, what is left stays
// open in the journal and goes on at the next start.
func (e *Engine) Drain(ctx context.Context) error {
	err := e.pool.Close(ctx)
	// The CoA engine may still settle while it closes, so the core goes after it.
	err = errors.Join(err, e.closeCoA(ctx))
	close(e.stopCore)
	select {
	case <-e.coreDone:
	case <-ctx.Done():
		err = errors.Join(err, ctx.Err())
	}
	e.reloading.Lock() // nothing begins any more
	e.end()
	e.reloading.Unlock()
	e.livelog.Add(&record.Decision{
		Time: e.clock.Now().UTC(), Kind: record.KindSystem, Status: record.Session, Details: "Stopped",
		Server: e.snapshot().Config.Appliance.Name.Value,
	})
	<-e.coreDone
	e.rounds.Wait()
	e.beside.Swap(nil).close(e, nil)
	return errors.Join(err, e.journal.Close())
}
