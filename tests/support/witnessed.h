/* tests/support/witnessed.h - a checkpoint of an example, and what witnesses say of it. */
#ifndef TESTS_WITNESSED_H
#define TESTS_WITNESSED_H

#define WITNESSED_VKEY "witness.example/w1+773a6c12+BMhTrQ8M0rYZrqks7sT9VqJNZJnVhM55JX5Fz9gTm2Cn"

#define WITNESSED_NOTE                                                                         \
    "example.com/log\n"                                                                        \
    "5\n"                                                                                      \
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"                                           \
    "\n"                                                                                       \
    "\xe2\x80\x94 example.com/log "                                                            \
    "h+1bO9FXFhR4WsIFNJSEtTNnZ6gJQF/POQhl15S48xu4piDpyFznLd0iL4eEAVDvBUODqzBOBu7diQcsi/KJ4CM/" \
    "LQM=\n"

/* By the key above; by the key of another witness, who says so; by another key under that name. */
#define WITNESSED_LINE                    \
    "\xe2\x80\x94 witness.example/w1 "    \
    "dzpsEgAAAABrAqV08Q5iWAKwIHLslbTlPI+" \
    "vMJ6njz5vR8woFMvhj0wcZQW85J3gTrcw7LoeQ7A3INIQaU9WPXbV8JxK4iax2a7xDQ==\n"
#define WITNESSED_BY_OTHER                \
    "\xe2\x80\x94 witness.example/other " \
    "4szNAQAAAABrAqV08Q5iWAKwIHLslbTlPI+" \
    "vMJ6njz5vR8woFMvhj0wcZQW85J3gTrcw7LoeQ7A3INIQaU9WPXbV8JxK4iax2a7xDQ==\n"
#define WITNESSED_FORGED                                                \
    "\xe2\x80\x94 witness.example/w1 "                                  \
    "dzpsEgAAAABrAqV0J4/2MraDqBopBMru9NKkpw3ikYqvAv1BwTopkp20QqyVMbNE/" \
    "+fMhkSd7jRJxjZHvYUwcDqqZ9TV6czYBrDgDQ==\n"

#endif /* TESTS_WITNESSED_H */
