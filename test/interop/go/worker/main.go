// A worker of the published Go SDK. Its functions do what the manual's ToUpper does, and everything that may go wrong.
//
// It prints `registered` when the SDK has written all its registrations, and `busy` when Sleep begins.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/HughNian/nmid/pkg/model"
	wor "github.com/HughNian/nmid/pkg/worker"
	"github.com/vmihailenco/msgpack"
)

var (
	server    = flag.String("server", "", "host:port of the broker")
	name      = flag.String("name", "Worker1", "the worker's name")
	functions = flag.String("functions", "ToUpper", "what to register, with commas between")
)

var all = map[string]func(wor.Job) ([]byte, error){
	"ToUpper": ToUpper, // the manual's
	"Who":     func(wor.Job) ([]byte, error) { return packed(0, "ok", []byte(*name)) },
	"Params":  func(job wor.Job) ([]byte, error) { return packed(0, "ok", []byte(hex.EncodeToString(job.GetParams()))) },
	"Digest":  digest,
	"Refuse":  func(wor.Job) ([]byte, error) { return packed(100, "bad", nil) },
	"Minus":   func(wor.Job) ([]byte, error) { return packed(-1, "minus", []byte("one")) },
	"NoData":  func(wor.Job) ([]byte, error) { return packed(0, "ok", nil) },
	"Nothing": func(wor.Job) ([]byte, error) { return nil, nil },
	"Fail":    func(wor.Job) ([]byte, error) { return nil, errors.New("this function fails") },
	"Sleep":   sleep,
}

func main() {
	flag.Parse()
	worker := wor.NewWorker().SetWorkerName(*name)
	if err := worker.AddServer("tcp", *server); err != nil {
		log.Fatalln(err)
	}
	for _, function := range strings.Split(*functions, ",") {
		worker.AddFunction(function, patient(all[function]))
	}
	// Who answers to this name says that this very worker is known to the broker.
	worker.AddFunction("At."+*name, all["Who"])
	if err := worker.WorkerReady(); err != nil {
		log.Fatalln(err)
	}
	fmt.Println("registered")
	go worker.WorkerDo()

	quits := make(chan os.Signal, 1)
	signal.Notify(quits, syscall.SIGTERM, syscall.SIGINT)
	<-quits
	worker.WorkerClose()
}

// patient answers a probe without doing anything: so a test learns that a function is known.
func patient(function func(wor.Job) ([]byte, error)) func(wor.Job) ([]byte, error) {
	return func(job wor.Job) ([]byte, error) {
		if _, probe := job.GetParamsMap()["probe"]; probe {
			return packed(0, "probe", nil)
		}
		return function(job)
	}
}

func digest(job wor.Job) ([]byte, error) {
	text, _ := job.GetParamsMap()["name"].(string)
	return packed(0, "ok", []byte(fmt.Sprintf("%d %x", len(text), sha256.Sum256([]byte(text)))))
}

func sleep(job wor.Job) ([]byte, error) {
	millis, err := strconv.ParseFloat(fmt.Sprint(job.GetParamsMap()["ms"]), 64)
	if err != nil {
		return nil, err
	}
	fmt.Println("busy")
	time.Sleep(time.Duration(millis) * time.Millisecond)
	text, _ := job.GetParamsMap()["name"].(string)
	return packed(0, "ok", []byte(strings.ToUpper(text)))
}

func packed(code int, msg string, data []byte) ([]byte, error) {
	ret := model.GetRetStruct()
	ret.Code, ret.Msg, ret.Data = code, msg, data
	return msgpack.Marshal(ret)
}
