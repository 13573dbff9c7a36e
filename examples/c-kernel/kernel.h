/* C = A B for square row-major matrices of n x n floats. C holds anything before, and the product after. */
void multiply(int n, const float *a, const float *b, float *c);
