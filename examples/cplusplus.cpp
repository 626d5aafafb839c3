/*
 * cplusplus.cpp - the same library from C++11: owners that close by themselves, and exceptions.
 *
 * usage: cplusplus LEDGER   a directory that `tally init` made
 */
#include <cstdint>
#include <cstdio>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>

#include <tally/tally.h>

namespace audit
{

/* A failure that its caller has to know of. Logging does not throw: it counts, and declares gaps. */
struct error : std::runtime_error {
    explicit error(const tally_error &err) : std::runtime_error(err.message), status(err.status)
    {
    }
    tally_status status;
};

struct closer {
    void operator()(tally_ledger *ledger) const
    {
        tally_close(ledger);
    }
    void operator()(tally_logger *logger) const
    {
        tally_logger_close(logger, 2000, nullptr);
    }
    void operator()(tally_event *event) const
    {
        tally_event_free(event);
    }
};
template <typename T> using owner = std::unique_ptr<T, closer>;

/* A ledger with its logger. Members end in reverse order, which is the right one. */
class log
{
  public:
    explicit log(const std::string &uri)
    {
        tally_options options = TALLY_OPTIONS_INIT;
        options.uri = uri.c_str();
        options.writable = 1;
        options.unattended = 1;
        tally_error err = TALLY_ERROR_INIT;
        tally_ledger *ledger = nullptr;
        tally_logger *logger = nullptr;
        check(tally_open(&ledger, &options, &err), err);
        ledger_.reset(ledger);
        check(tally_logger_open(&logger, ledger, nullptr, &err), err);
        logger_.reset(logger);
    }
    operator tally_logger *() const
    {
        return logger_.get();
    }

    static void check(tally_status status, const tally_error &err)
    {
        if (status != TALLY_OK) {
            throw error(err);
        }
    }

  private:
    owner<tally_ledger> ledger_;
    owner<tally_logger> logger_;
};

inline owner<tally_event> make_event(const char *action)
{
    tally_event *event = nullptr;
    tally_error err = TALLY_ERROR_INIT;
    log::check(tally_event_new(&event, &err), err);
    tally_event_set(event, TALLY_ACTION, action);
    return owner<tally_event>(event);
}

} // namespace audit

using accounts = std::map<std::string, std::int64_t>;

/*
 * Moves money. The span is recorded however this function is left: with its outcome where that is
 * known, and as a failure where an exception takes it along.
 */
static void transfer(audit::log &log, accounts &all, const std::string &from, const std::string &to,
                     std::int64_t cents)
{
    TALLY_SPAN(span, log, "money.transfer");
    tally_event *event = tally_span_event(&span);
    tally_event_set(event, TALLY_ACTOR_ID, from.c_str());
    tally_event_add_target(event, "account", to.c_str(), nullptr);
    tally_event_add_int(event, TALLY_REQUEST, "cents", cents);

    std::int64_t &source =
        all.at(from); /* throws std::out_of_range: the scope says what it knows */
    if (source < cents) {
        tally_event_set(event, TALLY_SEVERITY, "high");
        (void)tally_span_end(&span, TALLY_OUTCOME_FAILURE, "not enough money", nullptr);
        throw std::runtime_error("not enough money");
    }
    tally_event_add_int(event, TALLY_OLD_VALUES, "balance", source);
    source -= cents;
    all[to] += cents;
    tally_event_add_int(event, TALLY_NEW_VALUES, "balance", source);
    (void)tally_span_end(&span, TALLY_OUTCOME_SUCCESS, nullptr, nullptr);
}

/* An event in one piece, with all kinds of values; no JSON is written by hand. */
static void report(audit::log &log, const accounts &all)
{
    static const unsigned char seal[] = { 0x00, 0xff, 0x7f };
    audit::owner<tally_event> event = audit::make_event("report.make");
    tally_event_set(event.get(), TALLY_ACTOR_TYPE, "system");
    tally_event_open(event.get(), TALLY_METADATA, "balances", '{');
    for (const accounts::value_type &account : all) {
        tally_event_add_int(event.get(), TALLY_METADATA, account.first.c_str(), account.second);
    }
    tally_event_close(event.get(), TALLY_METADATA);
    tally_event_add_binary(event.get(), TALLY_METADATA, "seal", seal, sizeof(seal));
    tally_event_add_format(event.get(), TALLY_METADATA, "title", "%zu accounts", all.size());
    /* This one matters: wait until it is in the ledger, and hear of it if it is not. */
    tally_log_options options = TALLY_LOG_OPTIONS_INIT;
    options.delivery = TALLY_DELIVERY_STRICT;
    tally_receipt receipt;
    tally_error err = TALLY_ERROR_INIT;
    audit::log::check(tally_log_event(log, event.get(), &options, &receipt, &err), err);
    std::printf("report %s is record %llu\n", receipt.id,
                static_cast<unsigned long long>(receipt.seq));
}

int main(int argc, char *argv[])
{
    try {
        audit::log log(argc > 1 ? argv[1] : "audit");
        accounts all{ { "alice", 10000 }, { "bob", 0 } };
        transfer(log, all, "alice", "bob", 2500);
        for (const char *from : { "bob", "mallory" }) {
            try {
                transfer(log, all, from, "alice", 5000);
            } catch (const std::exception &failure) {
                std::printf("%s: %s\n", from, failure.what());
            }
        }
        report(log, all);
        return 0;
    } catch (const std::exception &failure) {
        (void)std::fprintf(stderr, "cplusplus: %s\n", failure.what());
        return 1;
    }
}
