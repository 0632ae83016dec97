package agent

import (
	"fmt"
	"time"
)

// maxClockApart is the difference of the clocks of two devices above which a Sync states it, if
// messages wait.
const maxClockApart = time.Hour

// DeviceClockError is the problem of a [DeviceSync] in messages with a device whose clock is ahead:
// the network stores messages in a place that depends on the week.
type DeviceClockError struct {
	Theirs time.Time // of the clock of the device, when it sent last
	Now    time.Time // of this one
}

func (e *DeviceClockError) Error() string {
	return fmt.Sprintf("its clock showed %s when it sent last, and this one shows %s: messages wait until the clocks agree", clockText(e.Theirs), clockText(e.Now))
}
