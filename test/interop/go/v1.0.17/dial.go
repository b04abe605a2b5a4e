package main

import (
	"time"

	cli "github.com/HughNian/nmid/pkg/client"
)

// dial connects as users of this version do: with Start. A patience of 0 keeps the SDK's own.
func dial(server string, patience time.Duration) (*cli.Client, error) {
	client := cli.NewClient("tcp", server)
	if patience > 0 {
		client.SetIoTimeOut(patience)
	}
	return client.Start()
}
