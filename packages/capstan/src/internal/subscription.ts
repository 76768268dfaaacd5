/**
 * Which jobs a topic is published to: those whose declarations this process has loaded.
 */
import type { Definition } from "./definition.ts"
import type { Request } from "./request.ts"

export interface Subscriber {
  readonly job: Definition
  readonly where: ((event: never) => boolean) | undefined
  readonly request: (event: never) => Request
}

export interface Subscriptions {
  readonly topic: string
  readonly byTag: Map<string, Subscriber>
}

/** A job's wish to be enqueued at an event, as its declaration has it. */
export interface Subscription {
  readonly subscriptions: Subscriptions
  readonly where: ((event: never) => boolean) | undefined
  readonly request: (job: Definition, event: never) => Request
}

export const subscribe = (job: Definition, subscription: Subscription): void => {
  const { request, subscriptions, where } = subscription
  subscriptions.byTag.set(job.tag, { job, where, request: (event) => request(job, event) })
}
