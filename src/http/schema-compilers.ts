import buildValidators from '@fastify/ajv-compiler'
import buildSerializers from '@fastify/fast-json-stringify-compiler'
import type { FastifyServerOptions } from 'fastify'

type Validator = ((data: unknown) => unknown) & { errors?: unknown }
// As Fastify calls it; the package's types name another argument.
type BuildValidators = (schemas: unknown, options: unknown) => (route: { schema: unknown }) => Validator
type CompilersFactory = NonNullable<NonNullable<FastifyServerOptions['schemaController']>['compilersFactory']>

/**
 * Fastify's own compilers, but each schema is compiled by the first request that needs it: all of them were a tenth of
 * the start, and most nodes never answer half of the routes. `compileAll` compiles the others and returns their number.
 */
export function createSchemaCompilers(): { compilersFactory: CompilersFactory; compileAll(): number } {
  const all: (() => unknown)[] = []
  const later = <T>(compile: () => T) => {
    let compiled: T | undefined
    const get = () => (compiled ??= compile())
    all.push(get)
    return get
  }
  const validators = buildValidators() as unknown as BuildValidators
  const serializers = buildSerializers()
  return {
    compilersFactory: {
      buildValidator: ((schemas, options) => {
        const compile = validators(schemas, options)
        return (route) => {
          const get = later(() => compile(route))
          const validate: Validator = (data) => {
            const validator = get()
            const valid = validator(data)
            // Fastify reads the faults from the function that it called.
            validate.errors = validator.errors
            return valid
          }
          return validate
        }
      }) satisfies BuildValidators as unknown as NonNullable<CompilersFactory['buildValidator']>,
      buildSerializer(schemas, options) {
        const compile = serializers(schemas, options)
        return (route) => {
          const get = later(() => compile(route))
          return (document) => get()(document)
        }
      },
    },
    compileAll() {
      for (const get of all) get()
      return all.length
    },
  }
}
