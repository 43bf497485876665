import {
  aws_cloudwatch_actions as actions,
  aws_budgets as budgets,
  aws_cloudwatch as cloudwatch,
  Duration,
  Fn,
  aws_logs as logs,
  aws_sns as sns,
  aws_sns_subscriptions as subscriptions,
} from 'aws-cdk-lib'
import { Construct } from 'constructs'
import type { Settings } from '../settings.ts'
import type { Server } from './server.ts'

/** Lines of the log, by the fields that docs/operations.md calls stable. */
export const LOG_PATTERNS = {
  ServerErrors: '{ $.status >= 500 }',
  StoreUnavailable: '{ $.event = "store_unavailable" }',
  PasswordRefused: '{ ($.reason = "28P01") || ($.reason = "28000") || ($.reason = "authentication_failed") }',
  MailDoesNotLeave: '{ ($.code = "mail_held") || ($.code = "mail_refused") || ($.code = "mail_given_up") }',
  OutboxLate: '{ $.event = "outbox_late" }',
  Reuse: '{ $.event = "refresh_token_reused" }',
} as const
const REFRESH_TIME = '{ ($.route = "/auth/refresh") && ($.ms = *) }'

/** An alarm that is about values of a metric at or above a threshold. */
export interface AlarmProps {
  metric: cloudwatch.IMetric
  threshold: number
  /** How many periods of the metric in a row. */
  periods: number
  what: string
  atMost?: boolean
  missing?: cloudwatch.TreatMissingData
}

/** A topic that writes mail to operators, what is alarming in the log, in the stores, and in the bill. */
export class Alarms extends Construct {
  readonly topic: sns.Topic
  /** Goes off when a store refuses the password that nodes have. */
  readonly passwordRefused: cloudwatch.Alarm

  constructor(scope: Construct, id: string, log: logs.ILogGroup, server: Server, settings: Settings) {
    super(scope, id)
    this.topic = new sns.Topic(this, 'Topic', { enforceSSL: true })
    this.topic.addSubscription(new subscriptions.EmailSubscription(settings.alarmEmail))

    const lines = (name: keyof typeof LOG_PATTERNS, period: number) =>
      this.filter(log, name, LOG_PATTERNS[name], '1', { period: Duration.minutes(period), statistic: 'Sum' })
    this.add('ServerErrors', {
      metric: lines('ServerErrors', 5),
      threshold: 10,
      periods: 2,
      what: 'Answers of 5xx: docs/operating/alerts.md#ratchetinternalerrors and #ratchetunavailableanswers',
    })
    this.add('StoreUnavailable', {
      metric: lines('StoreUnavailable', 1),
      threshold: 1,
      periods: 2,
      what: 'A node cannot use Postgres or Redis: docs/operating/alerts.md#ratchetstoreunavailable',
    })
    this.add('MailDoesNotLeave', {
      metric: lines('MailDoesNotLeave', 5),
      threshold: 1,
      periods: 2,
      what: 'The mail provider refuses mail: docs/operating/alerts.md#ratchetmailwaits',
    })
    this.add('OutboxLate', {
      // Nodes say it every five minutes while it lasts.
      metric: lines('OutboxLate', 10),
      threshold: 1,
      periods: 1,
      what: 'Mail or logout tokens have waited for a quarter of an hour: docs/operating/alerts.md#ratchetmailwaits',
    })
    this.add('Reuse', {
      metric: lines('Reuse', 5),
      threshold: 20,
      periods: 1,
      what: 'Many old refresh tokens came back: docs/operating/alerts.md#ratchetreuse',
    })
    this.add('Slow', {
      metric: this.filter(log, 'RefreshTime', REFRESH_TIME, '$.ms', {
        period: Duration.minutes(5),
        statistic: 'p99',
      }),
      threshold: 1000,
      periods: 2,
      what: 'One refresh in a hundred takes longer than a second: docs/operating/alerts.md#ratchetslow',
    })
    this.passwordRefused = this.add('PasswordRefused', {
      metric: lines('PasswordRefused', 1),
      threshold: 1,
      periods: 1,
      what: 'A store refuses the password that nodes have: docs/operating/aws.md#passwords-that-rotate',
    })
    this.stores(server)

    new budgets.CfnBudget(this, 'Budget', {
      budget: {
        budgetType: 'COST',
        timeUnit: 'MONTHLY',
        budgetLimit: { amount: settings.monthlyBudgetUsd, unit: 'USD' },
      },
      notificationsWithSubscribers: [
        { notificationType: 'ACTUAL', threshold: 80 },
        { notificationType: 'FORECASTED', threshold: 100 },
      ].map((notification) => ({
        notification: { ...notification, comparisonOperator: 'GREATER_THAN', thresholdType: 'PERCENTAGE' },
        subscribers: [{ subscriptionType: 'EMAIL', address: settings.alarmEmail }],
      })),
    })
  }

  /** Adds an alarm that writes to the topic when it goes off and when it ends. */
  add(id: string, props: AlarmProps): cloudwatch.Alarm {
    const { metric, threshold, periods, what, atMost, missing } = props
    const { LESS_THAN_OR_EQUAL_TO_THRESHOLD, GREATER_THAN_OR_EQUAL_TO_THRESHOLD } =
      cloudwatch.ComparisonOperator
    const alarm = new cloudwatch.Alarm(this, id, {
      metric,
      threshold,
      evaluationPeriods: periods,
      comparisonOperator: atMost ? LESS_THAN_OR_EQUAL_TO_THRESHOLD : GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      alarmDescription: what,
      treatMissingData: missing ?? cloudwatch.TreatMissingData.NOT_BREACHING,
    })
    const action = new actions.SnsAction(this.topic)
    alarm.addAlarmAction(action)
    alarm.addOkAction(action)
    return alarm
  }

  private filter(
    log: logs.ILogGroup,
    name: string,
    pattern: string,
    metricValue: string,
    options: cloudwatch.MetricOptions,
  ): cloudwatch.Metric {
    return new logs.MetricFilter(this, `${name}Filter`, {
      logGroup: log,
      filterPattern: logs.FilterPattern.literal(pattern),
      metricNamespace: `Ratchet/${this.node.scope?.node.id ?? ''}`,
      metricName: name,
      metricValue,
    }).metric(options)
  }

  private stores(server: Server): void {
    const database = (metricName: string, statistic: string) =>
      new cloudwatch.Metric({
        namespace: 'AWS/RDS',
        metricName,
        statistic,
        period: Duration.minutes(5),
        dimensionsMap: { DBInstanceIdentifier: server.database.instance.ref },
      })
    // Metrics belong to a member, whose name is that of the group and a number.
    const member = (number: string, metricName: string, statistic: string) =>
      new cloudwatch.Metric({
        namespace: 'AWS/ElastiCache',
        metricName,
        statistic,
        dimensionsMap: { CacheClusterId: Fn.join('-', [server.cache.group.ref, number]) },
      })
    const cache = (metricName: string, statistic: string) =>
      new cloudwatch.MathExpression({
        expression: 'MAX([one, two])',
        label: metricName,
        period: Duration.minutes(5),
        usingMetrics: {
          one: member('001', metricName, statistic),
          two: member('002', metricName, statistic),
        },
      })
    this.add('DatabaseDisk', {
      metric: database('FreeStorageSpace', 'Minimum'),
      threshold: 4 * 1024 ** 3,
      atMost: true,
      periods: 1,
      what: 'Postgres has less than 4 GiB of disk left',
    })
    this.add('DatabaseProcessor', {
      metric: database('CPUUtilization', 'Average'),
      threshold: 80,
      periods: 3,
      what: 'Postgres is busy: docs/operating/alerts.md#ratchetslow',
    })
    this.add('CacheMemory', {
      metric: cache('DatabaseMemoryUsagePercentage', 'Maximum'),
      threshold: 75,
      periods: 2,
      what: 'Redis fills up, and refuses writes when it is full: docs/redis.md#memory',
    })
    this.add('CacheProcessor', {
      metric: cache('EngineCPUUtilization', 'Average'),
      threshold: 80,
      periods: 3,
      what: 'Redis is busy',
    })
  }
}
