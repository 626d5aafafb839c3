/* model/fold.h - letter case, of ASCII alone. */
#ifndef TL_MODEL_FOLD_H
#define TL_MODEL_FOLD_H

static inline char tl_fold(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return (char)(c - 'A' + 'a');
    }
    return c;
}

#endif /* TL_MODEL_FOLD_H */
