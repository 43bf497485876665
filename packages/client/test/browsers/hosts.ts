export const AUTH = 'auth.example.com'
/** An app on the same site as the server, and one on another. WebKit knows no sites below a top level that does not exist. */
export const HOSTS = { same: 'app.example.com', other: 'app.example.org' }
export const HOSTNAMES = [AUTH, ...Object.values(HOSTS)]
