// Loaded ahead of tap's own modules, which read this when they start: nobody wants to know which files each process
// has loaded, and recording it costs a fifth of a start.
process.env._TAPJS_PROCESSINFO_EXCLUDE_ = '/./'
