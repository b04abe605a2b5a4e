// A client of the published Go SDK that tells what became of every call: one line of JSON each.
//
// It keeps to what the SDK allows: one call at a time on a connection, a connection per goroutine.
package main

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"strings"
	"sync"
	"time"

	cli "github.com/HughNian/nmid/pkg/client"
	"github.com/HughNian/nmid/pkg/model"
	"github.com/vmihailenco/msgpack"
)

var (
	server      = flag.String("server", "", "host:port of the broker")
	function    = flag.String("function", "ToUpper", "what to call")
	params      = flag.String("params", `{"name":"nmid"}`, "the params, a JSON object")
	label       = flag.String("label", "", "names each call LABEL-connection-call instead of the params' name")
	millis      = flag.String("millis", "", "the params' ms, call by call, with commas between")
	size        = flag.Int("size", 0, "lengthen the name to so many bytes")
	asJSON      = flag.Bool("json", false, "send the params as JSON, not msgpack")
	patience    = flag.Duration("patience", 5*time.Second, "the SDK's IO time-out; 0 keeps its own")
	connections = flag.Int("connections", 1, "clients at the same time")
	calls       = flag.Int("calls", 1, "calls on each connection, one after the other")
)

// Told is what the caller saw of one call. Silence: Do came back and nothing was called.
type Told struct {
	Name    string
	Outcome string // return, empty, error, silence
	Code    int
	Msg     string
	Data    string
	Echo    string // of the params: same, empty, other
	Sent    string // the params, in hex
	Millis  float64
}

func main() {
	flag.Parse()
	log.SetOutput(os.Stderr)
	lines := make(chan Told)
	var all sync.WaitGroup
	for connection := 0; connection < *connections; connection++ {
		all.Add(1)
		go func(connection int) {
			defer all.Done()
			converse(connection, lines)
		}(connection)
	}
	go func() {
		all.Wait()
		close(lines)
	}()
	out := json.NewEncoder(os.Stdout)
	for told := range lines {
		if err := out.Encode(told); err != nil {
			log.Fatalln(err)
		}
	}
}

func converse(connection int, lines chan<- Told) {
	client, err := dial(*server, *patience)
	if err != nil {
		log.Fatalln(err)
	}
	defer client.Close()
	if *asJSON {
		client.SetParamsType(model.PARAMS_TYPE_JSON)
	}
	for call := 0; call < *calls; call++ {
		lines <- one(client, connection, call)
	}
}

func one(client *cli.Client, connection, call int) Told {
	name, bytes := packed(connection, call)
	told := Told{Name: name, Outcome: "silence", Sent: hex.EncodeToString(bytes)}
	client.ErrHandler = func(err error) {
		told.Outcome, told.Msg = "error", err.Error()
	}
	began := time.Now()
	err := client.Do(*function, bytes, func(answer *cli.Response) {
		told.Echo = echo(answer.Params, bytes)
		if answer.RetLen == 0 {
			told.Outcome = "empty"
			return
		}
		var ret model.RetStruct
		if err := msgpack.Unmarshal(answer.Ret, &ret); err != nil {
			told.Outcome, told.Msg = "error", err.Error()
			return
		}
		told.Outcome, told.Code, told.Msg, told.Data = "return", ret.Code, ret.Msg, string(ret.Data)
	})
	if err != nil {
		told.Outcome, told.Msg = "error", err.Error()
	}
	told.Millis = float64(time.Since(began).Microseconds()) / 1000
	return told
}

func packed(connection, call int) (string, []byte) {
	object := make(map[string]interface{})
	if err := json.Unmarshal([]byte(*params), &object); err != nil {
		log.Fatalln(err)
	}
	if *label != "" {
		object["name"] = fmt.Sprintf("%s-%d-%d", *label, connection, call)
	}
	if list := strings.Split(*millis, ","); *millis != "" && call < len(list) {
		object["ms"] = list[call]
	}
	name, _ := object["name"].(string)
	if len(name) < *size {
		name += strings.Repeat("x", *size-len(name))
		object["name"] = name
	}
	pack := func(object interface{}) ([]byte, error) { return msgpack.Marshal(object) }
	if *asJSON {
		pack = json.Marshal
	}
	bytes, err := pack(object)
	if err != nil {
		log.Fatalln(err)
	}
	return name, bytes
}

func echo(got, sent []byte) string {
	switch {
	case string(got) == string(sent):
		return "same"
	case len(got) == 0:
		return "empty"
	}
	return "other"
}
