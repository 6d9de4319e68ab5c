/* A pointer is read from a freed block, and followed. */
#include "misuse.h"

struct node {
    char name[24];
    int *value;
};

int main(void) {
    static int value = 1;
    struct node *node = (struct node *)take(sizeof *node);
    node->value = &value;
    free(node);
    if (*node->value != 1)
        return 1;
    return survived();
}
