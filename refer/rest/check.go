package rest

import (
	"context"
	"net/http"
	"time"
)

// Check reads the account, which shows whether the credentials are right and changes nothing. It asks once. The error is nil for 200, a
// Rejected when Twilio refused (401: user or secret are wrong), and else says what came between. The date is the API's clock, of the answer's
// header in whole seconds: zero when nothing answered, or without one.
func (c *Client) Check(ctx context.Context) (date time.Time, err error) {
	a, _, err := c.exchange(ctx, http.MethodGet, "", nil)
	if err != nil {
		return time.Time{}, err
	}
	date, _ = http.ParseTime(a.header.Get("Date"))
	switch {
	case a.status == http.StatusOK:
		return date, nil
	case a.status >= 400 && a.status < 500:
		return date, a.rejected("")
	}
	return date, a.indefinite()
}
