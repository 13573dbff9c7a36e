/* The measure, and the check, of kernel.c.
 *
 * ./bench        prints the speed at one size, as `gflops: 1.234`
 * ./bench check  ends with 0 where the products are right at many sizes
 *
 * The kernel is not a part of this program: ./product (product.c with kernel.c) is started with the matrices
 * in memory that both have, and nowhere to print. Its processor time is what the system says of it, and
 * its product is compared here. A kernel that ends its process early has no product. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SIZE 320    /* of the matrices that are timed */
#define ROUNDS 5    /* of which the fastest counts */

static void fill(float *m, int n, unsigned *state) {
    for (int i = 0; i < n * n; i++) {
        *state = *state * 1664525u + 1013904223u;
        m[i] = (float)(*state >> 8) / 8388608.0f - 1.0f;
    }
}

/* The largest error of c, as a share of what rounding alone may do; infinite where c is not finite. */
static double error(int n, const float *a, const float *b, const float *c) {
    double worst = 0;
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) {
            double sum = 0, size = 0;
            for (int k = 0; k < n; k++) {
                double term = (double)a[i * n + k] * b[k * n + j];
                sum += term;
                size += fabs(term);
            }
            double off = fabs(sum - c[i * n + j]) / (1e-6 * n * size + 1e-12);
            if (!isfinite(off)) return INFINITY;
            if (off > worst) worst = off;
        }
    }
    return worst;
}

/* Starts ./product once; its processor time in seconds, or below zero where it failed. */
static double run(int n, int shared) {
    char size[16];
    snprintf(size, sizeof size, "%d", n);
    pid_t child = fork();
    if (child < 0) return -1;
    if (child == 0) {
        int nothing = open("/dev/null", O_WRONLY);
        dup2(nothing, 1);
        dup2(nothing, 2);
        dup2(shared, 0);
        execl("./product", "product", size, (char *)NULL);
        _exit(1);
    }
    int status;
    struct rusage used;
    if (wait4(child, &status, 0, &used) != child || status != 0) return -1;
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec
         + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

int main(int count, char **words) {
    int checking = count > 1 && strcmp(words[1], "check") == 0;
    const int sizes[] = {1, 2, 3, 7, 16, 31, 64, 65, 100, 127, SIZE, SIZE};
    int first = checking ? 0 : 10, last = checking ? 11 : 12;
    size_t bytes = sizeof(float) * 3 * SIZE * SIZE;
    int shared = memfd_create("matrices", MFD_CLOEXEC);
    if (shared < 0 || ftruncate(shared, (off_t)bytes) != 0) return 1;
    float *a = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, shared, 0);
    if (a == MAP_FAILED) return 1;
    unsigned seed = (unsigned)time(NULL);
    static float was[2 * SIZE * SIZE]; /* A and B, which the kernel may not change */
    double best = INFINITY;
    for (int s = first; s < last; s++) {
        int n = sizes[s];
        float *b = a + n * n, *c = b + n * n;
        for (int round = 0; round < (checking ? 1 : ROUNDS); round++) {
            fill(a, n, &seed);
            fill(b, n, &seed);
            memcpy(was, a, sizeof(float) * 2 * n * n);
            memset(c, 0xff, sizeof(float) * n * n);
            double spent = run(n, shared);
            if (spent < 0) {
                printf("the kernel failed at n = %d\n", n);
                return 1;
            }
            if (spent < best) best = spent;
        }
        double off = error(n, was, was + n * n, c);
        if (off > 1) {
            printf("a wrong product at n = %d: %.3g times what rounding may do\n", n, off);
            return 1;
        }
    }
    if (checking) printf("right at %d sizes\n", last - first);
    else printf("gflops: %.3f\n", 2.0 * SIZE * SIZE * SIZE / best / 1e9);
    return 0;
}
