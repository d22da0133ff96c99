package custody

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const nobody = 65534

// reachable makes a home that every user can reach, so that nothing but the socket's own rights is in the way.
func reachable(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("/tmp", "custody-users-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	dir := filepath.Join(folder, "home")
	run(t, program(t), "--home", dir, "--quiet", "init")
	for _, path := range []string{folder, dir} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestAnotherUserCanNeitherAttachNorRecord(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skipf("SKIPPED %s: only root can become another user", t.Name())
	}
	dir := reachable(t)
	startOwner(t, dir)
	recorder := open(t, Options{Home: dir, Transport: RingDurable})
	defer recorder.Close(limited(t))
	if err := recorder.Record(limited(t), login("1")); err != nil {
		t.Fatal(err)
	}
	as := func(user uint32, path string, arguments ...string) (string, error) {
		command := exec.Command(path, arguments...)
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
		out, err := command.CombinedOutput()
		return string(out), err
	}
	// The home can be reached, the socket cannot be connected to. Python is everywhere that Debian is.
	socket := filepath.Join(dir, "custody.sock")
	connect := fmt.Sprintf("import socket; socket.socket(socket.AF_UNIX).connect(%q)", socket)
	if out, err := as(nobody, "/usr/bin/python3", "-c", "import os; os.stat("+fmt.Sprintf("%q", socket)+")"); err != nil {
		t.Skipf("SKIPPED %s: cannot look at the socket as nobody: %v %s", t.Name(), err, out)
	}
	out, err := as(nobody, "/usr/bin/python3", "-c", connect)
	if err == nil || !strings.Contains(out, "PermissionError") {
		t.Errorf("nobody connects: %v %s", err, out)
	}
	// Nor can the ring's memory be had from the process that has it.
	ring := recorder.way.(*ringWay)
	memory := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ring.file.Fd())
	if err := exec.Command("/usr/bin/python3", "-c", "open('"+memory+"', 'r+b')").Run(); err != nil {
		t.Errorf("the same user cannot open %s: the test shows nothing: %v", memory, err)
	}
	out, err = as(nobody, "/usr/bin/python3", "-c", "open('"+memory+"', 'r+b')")
	if err == nil || !strings.Contains(out, "PermissionError") {
		t.Errorf("nobody opens the memory: %v %s", err, out)
	}
	// What a process says of itself is not believed.
	forged := login("2")
	forged.Context["peer.uid"] = "0"
	if err := recorder.Record(limited(t), forged); err == nil {
		t.Error("peer.uid was taken from the caller")
	}
}

func TestAStoppedProducerHoldsUpNobody(t *testing.T) {
	dir := home(t)
	owner := startOwner(t, dir)
	for round := 0; round < 3; round++ {
		var printed strings.Builder
		service := exec.Command(os.Args[0])
		service.Env = append(os.Environ(), "CUSTODY_TEST_SERVICE="+dir, "CUSTODY_TEST_WAY=ring")
		service.Stdout, service.Stderr = &printed, os.Stderr
		if err := service.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(150 * time.Millisecond)
		service.Process.Signal(syscall.SIGSTOP) // wherever it is, also between a frame and its cursor
		recorder := open(t, Options{Home: dir, Transport: RingDurable})
		for n := 0; n < 100; n++ {
			if err := recorder.Record(limited(t), login(fmt.Sprint(n))); err != nil {
				t.Fatal(err)
			}
		}
		if err := recorder.Close(limited(t)); err != nil {
			t.Error(err)
		}
		service.Process.Kill()
		service.Wait()
	}
	owner.leave(t) // a stopped producer does not keep the owner from leaving either
	if lost := stored(t, dir, "LEDGER.RING."); len(lost) > 0 {
		t.Errorf("%v", lost)
	}
}

// A fast recorder does not wait, whatever the owner does.
func TestAFastRecorderDoesNotWaitForAStoppedOwner(t *testing.T) {
	dir := home(t)
	owner := startOwner(t, dir)
	recorder := open(t, Options{Home: dir, Transport: RingFast, RingBytes: 1 << 20, WhenFull: Drop})
	owner.command.Process.Signal(syscall.SIGSTOP)
	kept, dropped := 0, 0
	for n := 0; n < 10_000; n++ {
		switch err := recorder.Record(context.Background(), login(fmt.Sprint(n))); err {
		case nil:
			kept++
		case ErrDropped:
			dropped++
		default:
			t.Fatal(err)
		}
	}
	owner.command.Process.Signal(syscall.SIGCONT)
	if err := recorder.Close(limited(t)); err != nil {
		t.Error(err)
	}
	if kept < 1000 || dropped < 1000 {
		t.Errorf("%d kept, %d dropped of 10000 in 1 MiB", kept, dropped)
	}
	if found := stored(t, dir, "AUTH."); len(found) != kept {
		t.Errorf("%d events are in the ledger, %d were taken", len(found), kept)
	}
}
