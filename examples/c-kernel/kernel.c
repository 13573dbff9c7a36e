#include "kernel.h"

/* Columns of C that are summed together. */
#define TILE 4

void multiply(int n, const float *a, const float *b, float *c) {
    for (int first = 0; first < n; first += TILE) {
        int last = first + TILE < n ? first + TILE : n;
        for (int i = 0; i < n; i++) {
            for (int j = first; j < last; j++) c[i * n + j] = 0;
            for (int k = 0; k < n; k++) {
                for (int j = first; j < last; j++) c[i * n + j] += a[i * n + k] * b[k * n + j];
            }
        }
    }
}
