package main

import (
	"time"

	cli "github.com/HughNian/nmid/pkg/client"
)

// dial connects as users of this version did: in the constructor. A patience of 0 keeps the SDK's own.
func dial(server string, patience time.Duration) (*cli.Client, error) {
	client, err := cli.NewClient("tcp", server)
	if err == nil && patience > 0 {
		client.IoTimeOut = patience
	}
	return client, err
}
