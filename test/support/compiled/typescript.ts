/** Arguments with which node runs TypeScript: the source that `npm test` has compiled. */
export const TYPESCRIPT = ['--import', process.env.TEST_LOADER ?? 'tsx']
