/* Tries to get away: forks twice, makes sessions of its own, ignores every polite signal, closes all descriptors,
 * writes its pid to argv[1], and sleeps. The main process exits with argv[2], or sleeps when there is none. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void stray(const char *file) {
    if (fork()) return;
    setsid();
    if (fork()) _exit(0);
    setsid();
    for (int s = 1; s < 32; s++) signal(s, SIG_IGN);
    for (int fd = 0; fd < 64; fd++) close(fd);
    char text[32];
    int fd = open(file, O_CREAT | O_WRONLY | O_APPEND, 0600);
    int n = snprintf(text, sizeof text, "%d\n", getpid());
    if (write(fd, text, n) != n) _exit(1);
    for (;;) pause();
}

int main(int argc, char **argv) {
    for (int i = 0; i < 3; i++) stray(argv[1]);
    while (access(argv[1], F_OK)) usleep(1000);
    if (argc > 2) { usleep(100000); return atoi(argv[2]); }
    for (;;) pause();
}
