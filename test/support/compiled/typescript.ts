/** The arguments with which node runs the TypeScript that `npm test` has compiled. */
export const TYPESCRIPT = ['--import', process.env.TEST_LOADER ?? 'tsx']
