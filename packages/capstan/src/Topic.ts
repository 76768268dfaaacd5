/**
 * Events: something that happened, told to every job that subscribes to it.
 *
 * A job says in its declaration which topics it subscribes to, and which cancel its records or complete waitpoints of them; so a
 * program that publishes needs declarations alone: those that it has loaded are told. Guarantee: one publish is one call of
 * the store, all of it or none, inside the caller's transaction on a store that shares it; each subscriber then has a record of
 * its own, retried by its own policies.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { issueOf } from "./internal/codec.ts"
import { name as validName } from "./internal/definition.ts"
import { attemptOf, refusalOf } from "./internal/enqueue.ts"
import { recordsOf, Request } from "./internal/request.ts"
import * as Checkpoint from "./internal/steps/checkpoint.ts"
import { isStored } from "./internal/stored.ts"
import {
  type Completion as InternalCompletion,
  type Match as InternalMatch,
  nameOf,
  type Subscriber,
  type Subscription as InternalSubscription,
  type Subscriptions
} from "./internal/subscription.ts"
import { EnqueueError, InvalidPayload } from "./JobError.ts"
import type { JobStoreError } from "./JobError.ts"
import type { Outcome } from "./JobHandle.ts"
import type { EnqueueOptions } from "./JobOptions.ts"
import type { JobId } from "./JobRecord.ts"
import { JobStore } from "./JobStore.ts"
import type { Waitpoint } from "./Waitpoint.ts"

/**
 * A declared topic.
 *
 * @category models
 * @since 0.1.0
 */
export interface Topic<out Name extends string, in out Event extends Schema.Top> {
  /** @internal */
  readonly "~subscriptions": Subscriptions
  readonly _tag: Name
  readonly schema: Event
  /** The tags of the jobs that subscribe to it, of those that this process has loaded. */
  readonly subscribers: () => ReadonlyArray<string>
  /**
   * Cancels the records that are to be cancelled by such an event (`cancelOn`), completes the waitpoints that it is to complete
   * (`completeOn`), and tells every subscriber, in one call of the store. Answers what became of each whose filter lets the event through. Inside a handler the records are children of the attempt's,
   * and all of it is refused with `LeaseLost` when that is stale.
   */
  readonly publish: (
    event: Event["~type.make.in"],
    options?: PublishOptions
  ) => Effect.Effect<ReadonlyArray<Delivery>, EnqueueError | JobStoreError, JobStore>
}

/**
 * Options of one publish.
 *
 * @category options
 * @since 0.1.0
 */
export interface PublishOptions {
  /**
   * A subscriber that has a record of an event of this topic with this key, in whatever state it is kept, gets no second one.
   *
   * @default none
   */
  readonly idempotencyKey?: string | undefined
}

/**
 * What a publish did for one subscriber.
 *
 * @category models
 * @since 0.1.0
 */
export interface Delivery {
  readonly job: string
  readonly id: JobId
  readonly outcome: Outcome
}

/**
 * A job's subscription, for `on` of its declaration.
 *
 * @category models
 * @since 0.1.0
 */
export interface Subscription<out Payload> {
  readonly "~subscription": InternalSubscription
  readonly "~payload": Payload
}

/**
 * Events with what each has to say for records to be cancelled, for `cancelOn` of a declaration.
 *
 * @category models
 * @since 0.1.0
 */
export interface Match {
  readonly "~match": InternalMatch
}

/**
 * Events with the waitpoint that they complete, for `completeOn` of a declaration.
 *
 * @category models
 * @since 0.1.0
 */
export interface Completion {
  readonly "~completion": InternalCompletion
}

type SchemaOf<E> = E extends Schema.Top ? E : E extends Schema.Struct.Fields ? Schema.Struct<E> : never

/**
 * Declares a topic.
 *
 * **Example**
 *
 * ```ts
 * const OrderPlaced = Topic.make("OrderPlaced", { orderId: Schema.String, total: Schema.Number })
 *
 * class SendReceipt extends Job.make("SendReceipt", {
 *   payload: { orderId: Schema.String },
 *   on: [Topic.on(OrderPlaced, { payload: ({ orderId }) => ({ orderId }) })]
 * }) {}
 *
 * yield* OrderPlaced.publish({ orderId: "o1", total: 12 })
 * ```
 *
 * **Gotchas**
 *
 * Who publishes must have loaded the declarations of the subscribers: import them where you publish, from a module that has
 * them all. `subscribers` tells which there are.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <const Name extends string, Event extends Schema.Top | Schema.Struct.Fields>(
  name: Name,
  schema: Event
): Topic<Name, SchemaOf<Event>> => {
  validName(`topic ${name}`, "name", name)
  const event = (Schema.isSchema(schema) ? schema : Schema.Struct(schema as Schema.Struct.Fields)) as Schema.Top
  const subscriptions: Subscriptions = { topic: name, byTag: new Map(), cancelled: new Map(), completed: new Map() }
  return {
    "~subscriptions": subscriptions,
    _tag: name,
    schema: event as SchemaOf<Event>,
    subscribers: () => [...subscriptions.byTag.keys()],
    publish: (value, options) => publish(subscriptions, event, value, options?.idempotencyKey)
  }
}

/**
 * Subscribes a job: for each event that `where` lets through, a record with the payload that is made of it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const on = <Name extends string, Event extends Schema.Top, Payload>(
  topic: Topic<Name, Event>,
  options: {
    /**
     * Which events it is told of. Runs where the event is published.
     *
     * @default every event
     */
    readonly where?: ((event: Event["Type"]) => boolean) | undefined
    /** Makes the payload of the record from the event. */
    readonly payload: (event: Event["Type"]) => Payload
    /**
     * Options of the enqueue, such as a delay.
     *
     * @default the job's
     */
    readonly options?: ((event: Event["Type"]) => Omit<EnqueueOptions, "idempotencyKey">) | undefined
  }
): Subscription<Payload> => {
  const subscription: InternalSubscription = {
    subscriptions: topic["~subscriptions"],
    where: options.where,
    request: (job, event) => new Request(job, options.payload(event), options.options?.(event))
  }
  // The payload is a type alone.
  return { "~subscription": subscription } as Subscription<Payload>
}

/**
 * What an event says, to cancel the records of a job that say the same: those that have not ended when the event is published. What is
 * enqueued afterwards is not cancelled.
 *
 * **Example**
 *
 * ```ts
 * class RemindToPay extends Job.make("RemindToPay", {
 *   payload: { orderId: Schema.String },
 *   cancelOn: [{ event: Topic.match(OrderPaid, ({ id }) => id), payload: ({ orderId }) => orderId }]
 * }) {}
 * ```
 *
 * **Gotchas**
 *
 * Who publishes must have loaded the declaration, as of a subscriber. What cancels a record is stamped when that is enqueued.
 *
 * @category constructors
 * @since 0.1.0
 */
export const match = <Name extends string, Event extends Schema.Top>(
  topic: Topic<Name, Event>,
  /** `undefined` for an event that cancels nothing. */
  key: (event: Event["Type"]) => string | undefined
): Match => ({ "~match": { subscriptions: topic["~subscriptions"], key } })

/**
 * The waitpoint that an event completes, of those records of a job that say the same and have not ended when it is published. The first
 * completion wins, whoever it is from, and is there for a record that does not wait yet.
 *
 * **Example**
 *
 * ```ts
 * const PaymentReceived = Topic.make("PaymentReceived", { orderId: Schema.String, cents: Schema.Int })
 *
 * class Payment extends Waitpoint.make("Payment", { success: Schema.Struct({ cents: Schema.Int }) }) {}
 *
 * class Ship extends Job.make("Ship", {
 *   payload: { orderId: Schema.String },
 *   completeOn: [{
 *     event: Topic.completion(PaymentReceived, Payment, {
 *       key: ({ orderId }) => orderId,
 *       value: ({ cents }) => ({ cents })
 *     }),
 *     payload: ({ orderId }) => orderId
 *   }]
 * }) {}
 *
 * Ship.toLayer(({ orderId }) => Effect.flatMap(Payment.await, ({ cents }) => Effect.log(`${orderId}: ${cents}`)))
 * ```
 *
 * **Gotchas**
 *
 * Who publishes must have loaded the declaration, as of a subscriber. What completes a record is stamped when that is enqueued: an event
 * that was published before says nothing to it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const completion = <
  Name extends string,
  Event extends Schema.Top,
  Success extends Schema.Top & { readonly EncodingServices: never }
>(
  topic: Topic<Name, Event>,
  waitpoint: Waitpoint<string, Success>,
  options: {
    /** `undefined` for an event that completes nothing. */
    readonly key: (event: Event["Type"]) => string | undefined
    /** What it is completed with. Runs where the event is published, and takes no services to encode: who publishes is asked for none. */
    readonly value: (event: Event["Type"]) => Success["Type"]
  }
): Completion => ({
  "~completion": {
    subscriptions: topic["~subscriptions"],
    waitpoint: waitpoint.waitpoint,
    key: options.key,
    signal: (event) => Checkpoint.signalOf(waitpoint.successSchema, options.value(event))
  }
})

const publish = (
  subscriptions: Subscriptions,
  schema: Schema.Top,
  value: unknown,
  key: string | undefined
): Effect.Effect<ReadonlyArray<Delivery>, EnqueueError | JobStoreError, JobStore> =>
  Effect.withFiber((fiber) =>
    Effect.gen(function*() {
      const { topic } = subscriptions
      const invalid = (error: unknown) =>
        new EnqueueError({ reason: new InvalidPayload({ job: `topic ${topic}`, index: 0, issue: issueOf(error) }) })
      const event = yield* Effect.mapError(schema.makeEffect(value), invalid)
      const subscribers = [...subscriptions.byTag.values()].filter(({ where }) => where?.(event as never) ?? true)
      const cancels = cancelsOf(subscriptions, event)
      const completes = yield* Effect.mapError(completesOf(subscriptions, event), invalid)
      if (subscribers.length === 0 && cancels.length === 0 && completes.length === 0) return []
      const records = yield* recordsOf(subscribers.map((subscriber) => requestOf(topic, subscriber, event, key)))
      const answers = yield* (yield* JobStore).enqueue({
        records,
        by: attemptOf(fiber),
        ...(cancels.length === 0 ? undefined : { cancels }),
        ...(completes.length === 0 ? undefined : { completes })
      })
      if (!answers.every(isStored)) return yield* Effect.fail(refusalOf(records, answers))
      return answers.map(({ id, outcome }, i) => ({ job: records[i]!.tag, id, outcome }))
    })
  )

const cancelsOf = ({ cancelled, topic }: Subscriptions, event: unknown) =>
  [...cancelled].flatMap(([tag, matches]) =>
    matches.flatMap(({ key: keyOf, nth }) => {
      const key = keyOf(event as never)
      return key === undefined ? [] : [{ on: nameOf({ topic, nth }, tag, key), reason: `${topic} was published` }]
    })
  )

const completesOf = ({ completed, topic }: Subscriptions, event: unknown) =>
  Effect.forEach(
    [...completed].flatMap(([tag, completions]) =>
      completions.flatMap(({ key: keyOf, nth, signal, waitpoint }) => {
        const key = keyOf(event as never)
        return key === undefined ? [] : [{ on: nameOf({ topic, waitpoint, nth }, tag, key), signal, waitpoint }]
      })
    ),
    ({ on, signal, waitpoint }) => Effect.map(signal(event as never), (value) => ({ on, waitpoint, value }))
  )

const requestOf = (topic: string, { request }: Subscriber, event: unknown, key: string | undefined): Request => {
  const made = request(event as never)
  if (key === undefined) return made
  return new Request(made.job, made.payload, { ...made.options, idempotencyKey: `topic/${topic}/${key}` })
}
