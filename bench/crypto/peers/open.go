// Opens one HPKE message again and again by Go's crypto/hpke: see open.py for the arguments and the output.
package main

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

func main() {
	var inputs [4][]byte
	for i := range inputs {
		inputs[i] = must(hex.DecodeString(os.Args[1+i]))
	}
	scalar, enc, ciphertext, plaintext := inputs[0], inputs[1], inputs[2], inputs[3]
	rounds := must(strconv.Atoi(os.Args[5]))
	round := time.Duration(must(strconv.Atoi(os.Args[6]))) * time.Millisecond

	key := must(hpke.NewDHKEMPrivateKey(must(ecdh.P384().NewPrivateKey(scalar))))
	message := append(enc, ciphertext...)
	best := math.Inf(1)
	// The first round warms caches and clocks up.
	for number := range rounds + 1 {
		begun, opened, spent := processorTime(), 0, time.Duration(0)
		for spent < round {
			if !bytes.Equal(must(hpke.Open(key, hpke.HKDFSHA384(), hpke.AES256GCM(), []byte("info"), message)), plaintext) {
				panic("another plaintext")
			}
			opened++
			spent = processorTime() - begun
		}
		if number > 0 {
			best = min(best, float64(spent.Nanoseconds())/float64(opened))
		}
	}
	fmt.Println(runtime.Version()[2:], best)
}

// processorTime is how long all threads of this process have had the processor.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
