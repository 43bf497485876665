/** What each size of docs/operating/README.md#sizing is on AWS. Memory in MiB, disks in GiB. */
export const SIZES = {
  /** Up to about 100,000 live sessions. */
  small: {
    cpu: 512,
    memory: 1024,
    minNodes: 2,
    maxNodes: 6,
    natGateways: 1,
    database: 'db.t4g.small',
    databaseDisk: 20,
    cache: 'cache.t4g.micro',
    instance: 't4g.small',
    /** Each environment of Lambda is a node with four connections: db.t4g.small allows about 190. */
    lambdaConcurrency: 40,
  },
  /** One to two million live sessions. */
  large: {
    cpu: 1024,
    memory: 2048,
    minNodes: 2,
    maxNodes: 12,
    natGateways: 2,
    database: 'db.m7g.large',
    databaseDisk: 100,
    cache: 'cache.m7g.large',
    instance: 'm7g.medium',
    lambdaConcurrency: 180,
  },
} as const

export type Size = (typeof SIZES)[keyof typeof SIZES]
