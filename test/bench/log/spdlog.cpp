/* spdlog's synchronous file logger, as its documentation begins with it. */
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>

#include "work.h"

static std::shared_ptr<spdlog::logger> logger;

static void log_open(const char *path)
{
    logger = spdlog::basic_logger_mt("BENCH", path);
}

static void log_line(unsigned peer, int bytes, const char *what)
{
    logger->info("peer {} sent {} bytes in {}", peer, bytes, what);
}

static void log_close(void)
{
    logger->flush();
    spdlog::shutdown();
    logger.reset();
}
