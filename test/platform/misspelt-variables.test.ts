import t from 'tap'
import { misspeltVariables } from '../../src/platform/misspelt-variables.ts'
import { VARIABLES } from '../../src/platform/variables.ts'

/** What is found in an environment of these names. */
const found = (...names: string[]) =>
  misspeltVariables(Object.fromEntries(names.map((name) => [name, 'a-value']))).map(
    ({ name, meant }) => `${name} ${meant}`,
  )

t.test('a misspelt name is found, with what was meant', async (t) => {
  for (const [name, meant] of Object.entries({
    ALOWED_ORIGINS: 'ALLOWED_ORIGINS',
    ALLOWED_ORIGIN: 'ALLOWED_ORIGINS',
    ALLOWED_ORGINIS: 'ALLOWED_ORIGINS',
    ALOWED_ORGINS: 'ALLOWED_ORIGINS',
    REFRESH_IDLE_TTLS: 'REFRESH_IDLE_TTL',
    DATABASE_URI: 'DATABASE_URL',
    DB_SSL_MODE: 'DB_SSLMODE',
    REDIS_ULR: 'REDIS_URL',
    TRUSTPROXY: 'TRUST_PROXY',
    APP_SECRET: 'APP_SECRETS',
    PUBLIC_ULR: 'PUBLIC_URL',
    'refresh-idle-ttl': 'REFRESH_IDLE_TTL',
    'Trust.Proxy': 'TRUST_PROXY',
    port: 'PORT',
    Host: 'HOST',
    app_url: 'APP_URL',
  }))
    t.strictSame(found(name), [`${name} ${meant}`])
})

t.test('every known name with one slip, or in small letters, is found', async (t) => {
  for (const name of VARIABLES) {
    t.strictSame(found(name), [])
    t.strictSame(found(name.toLowerCase().replaceAll('_', '-')).length, 1)
    if (name.length >= 8) t.ok(found(name.slice(0, -1)).length + found(`${name}X`).length === 2, name)
  }
})

t.test('variables of other programs are none', async (t) => {
  const others = `
    PATH HOME USER SHELL LANG LC_ALL TERM PWD OLDPWD SHLVL LOGNAME MAIL EDITOR PAGER TZ TMPDIR HOSTNAME HOSTTYPE
    HOSTS POST PORTS DISPLAY COLORTERM SSH_AUTH_SOCK XDG_RUNTIME_DIR DBUS_SESSION_BUS_ADDRESS _ PS1 IFS
    http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY SSL_CERT_FILE
    NODE_OPTIONS NODE_PATH NODE_EXTRA_CA_CERTS NODE_VERSION NODE_TLS_REJECT_UNAUTHORIZED YARN_VERSION NVM_DIR UV_THREADPOOL_SIZE
    npm_config_cache npm_config_loglevel npm_package_name npm_lifecycle_event npm_execpath npm_config_user_agent INIT_CWD
    CI GITHUB_ACTIONS GITHUB_REF_NAME GITHUB_SERVER_URL GITHUB_API_URL RUNNER_NAME RUNNER_OS CI_PROJECT_URL CI_JOB_NAME
    GITLAB_CI BUILD_URL JOB_NAME JENKINS_URL CIRCLE_BRANCH BRANCH_NAME DEPLOY_URL
    DOCKER_HOST COMPOSE_PROJECT_NAME COMPOSE_FILE BUILDKIT_PROGRESS HOST_IP
    KUBERNETES_SERVICE_HOST KUBERNETES_SERVICE_PORT KUBERNETES_SERVICE_PORT_HTTPS KUBERNETES_PORT KUBERNETES_PORT_443_TCP_ADDR
    REDIS_PORT REDIS_HOST REDIS_SERVICE_HOST REDIS_SERVICE_PORT REDIS_PORT_6379_TCP REDIS_PORT_6379_TCP_ADDR REDIS_DB REDIS_TLS
    REDIS_PASSWORD REDIS_USER POSTGRES_PORT POSTGRES_HOST POSTGRES_DB POSTGRES_USER POSTGRES_PASSWORD POSTGRES_SERVICE_HOST
    PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE PGSSLMODE PG_PASSWORD DATABASE_HOST DATABASE_PORT DATABASE_USER DATABASE_NAME
    SMTP_HOST SMTP_PORT SMTP_USER SMTP_PASS MAIL_HOST MAIL_PORT MAIL_SERVICE_HOST METRICS_HOST METRICS_SERVICE_PORT
    APP_ENV APP_KEY APP_ID API_URL API_KEY BASE_URL PUBLIC_IP PUBLIC_KEY NEXT_PUBLIC_URL LOG_FORMAT LOG_FILE DEBUG
    SIGN_UP_URL POD_NAME POD_NAMESPACE POD_IP NODE_NAME SENDGRID_API_KEY FLY_APP_NAME HEROKU_APP_NAME DYNO RENDER_EXTERNAL_URL
    RAILWAY_PUBLIC_DOMAIN AWS_REGION AWS_SECRET_ACCESS_KEY GOOGLE_CLOUD_PROJECT PORT_HTTP DB_SERVICE_HOST DB_PORT_5432_TCP`
  t.strictSame(found(...others.trim().split(/\s+/)), [])
})

t.test('where what was meant is set, or nothing is, there is nothing to tell', async (t) => {
  t.strictSame(found('EMAIL_FROM', 'MAIL_FROM', 'DATABASE_URI', 'DATABASE_URL'), [])
  t.strictSame(found('EMAIL_FROM'), ['EMAIL_FROM MAIL_FROM'])
  t.strictSame(misspeltVariables({ ALOWED_ORIGINS: '' }), [])
})
