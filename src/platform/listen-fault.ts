/**
 * An error of `listen` in words for operators, naming the variable to change; any other error as it is.
 * @param portVariable the variable that has the port.
 */
export function listenFault(
  error: unknown,
  portVariable: string,
  { host, port }: { host: string; port: number },
): unknown {
  const { syscall, code } = error as NodeJS.ErrnoException
  if (syscall !== 'listen' && syscall !== 'getaddrinfo') return error
  const variable = code === 'EADDRINUSE' || code === 'EACCES' ? portVariable : 'HOST'
  return new Error(`${variable}: cannot listen on ${host}, port ${port} (${code})`, { cause: error })
}

/** The same for a socket that systemd has opened. */
export function passedSocketFault(error: unknown): unknown {
  const { syscall, code } = error as NodeJS.ErrnoException
  if (syscall !== 'listen') return error
  const message = `LISTEN_FDS: what systemd passed on is no TCP socket to listen on (${code})`
  return new Error(`${message}: the socket unit needs a ListenStream with a port`, { cause: error })
}
