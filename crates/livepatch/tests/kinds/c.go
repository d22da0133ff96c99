package main

/*
#include <stdlib.h>
static int seventh(int n) { return n * 7; }
*/
import "C"

import "unsafe"

// C code is called all the time, so that threads stand in it when the process is stopped.
func init() {
	for i := 0; i < 2; i++ {
		go func() {
			for {
				p := C.malloc(64)
				if C.seventh(3) != 21 {
					panic("C is wrong")
				}
				C.free(unsafe.Pointer(p))
			}
		}()
	}
}
