/**
 * The services of a cluster's client by the key whose node they send to: partitions of a store lie on different nodes, and
 * `effect/persistence/Redis` has no say in where a command goes.
 */
import * as Effect from "effect/Effect"
import type { Redis, RedisError } from "effect/persistence/Redis"
import type * as Scope from "effect/Scope"

type Service = Redis["Service"]
type ServiceOf = (key: string) => Effect.Effect<Service, RedisError, Scope.Scope>

const clusters = new WeakMap<Service, ServiceOf>()

/** Makes known that a service belongs to a cluster. */
export const onCluster = (service: Service, serviceOf: ServiceOf): Service => {
  clusters.set(service, serviceOf)
  return service
}

export const isCluster = (service: Service): boolean => clusters.has(service)

/** The service for a key: the same one for all keys of a single server. */
export const serviceOf = (service: Service, key: string): Effect.Effect<Service, RedisError, Scope.Scope> =>
  clusters.get(service)?.(key) ?? Effect.succeed(service)
