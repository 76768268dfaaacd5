/**
 * A flow: jobs that wait for each other, declared as a graph and started in one write.
 *
 * Guarantees: a flow is stored whole or not at all; a record runs when all that it waits for has ended as it must, and is dead
 * with the id of what failed otherwise, never stuck; what it waited for is there to be read for as long as it is, whatever
 * became of the records that made it. Each record is one of its own job: at least once, retried by its own policies, on its own
 * queue.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Option from "effect/Option"
import { empty, type Graph, withNode } from "./internal/flow/graph.ts"
import { type Counts as InternalCounts, Handle as InternalHandle } from "./internal/flow/handle.ts"
import * as InternalOutline from "./internal/flow/outline.ts"
import { results } from "./internal/flow/results.ts"
import { add, start } from "./internal/flow/start.ts"
import type * as Job from "./Job.ts"
import type { JobContext } from "./JobContext.ts"
import type { EnqueueError, JobControlError, JobStoreError } from "./JobError.ts"
import type { Ended, JobHandle } from "./JobHandle.ts"
import type { JobId, JobRecord } from "./JobRecord.ts"
import type { JobStore } from "./JobStore.ts"

/**
 * The property under which a flow keeps what is not public of it.
 *
 * @category type ids
 * @since 0.1.0
 */
export const TypeId: unique symbol = Symbol.for("capstan/Flow")

/**
 * What it means for a record that one that it waits for ended dead or cancelled, or was deleted. `after: ["other"]` is short for
 * `after: { other: "fail" }`.
 *
 * - `"fail"`: it is dead with reason `DependencyFailed`; its last failure names the other
 * - `"cancelSiblings"`: the same, and what else it waits for is cancelled
 * - `"continue"`: it runs once all have ended, and finds an `Exit` in place of the result
 * - `"ignore"`: it runs once all have ended, and finds an `Option` in place of the result; of a list, the results that there are
 *
 * @category options
 * @since 0.1.0
 */
export type OnFailure = "fail" | "cancelSiblings" | "continue" | "ignore"

/**
 * A node: the job of its records, whether it is a list of them, and what they wait for.
 *
 * @category models
 * @since 0.1.0
 */
export interface Node<out J extends Job.Any, out IsList extends boolean, out After> {
  readonly job: J
  readonly isList: IsList
  readonly after: After
}

type AnyNode = Node<Job.Any, boolean, object>
type AnyNodes = Readonly<Record<string, AnyNode>>
type Empty = Readonly<Record<never, never>>

type Success<N extends AnyNode> = N["job"]["successSchema"]["Type"]
type Failure<N extends AnyNode> = N["job"]["errorSchema"]["Type"]
type Lists<Nodes extends AnyNodes> = { [K in keyof Nodes]: Nodes[K]["isList"] extends true ? K : never }[keyof Nodes]
type Awaited<Nodes extends AnyNodes> = { [K in keyof Nodes]: keyof Nodes[K]["after"] }[keyof Nodes]

/** The nodes that nobody waits for. */
type Ends<Nodes extends AnyNodes> = Exclude<keyof Nodes, Awaited<Nodes>>

/** A list to which more can be added: neither what it waits for nor what waits for it is a list. */
type Open<Nodes extends AnyNodes> = {
  [K in Lists<Nodes>]: [Extract<keyof Nodes[K]["after"], Lists<Nodes>>] extends [never]
    ? K extends { [L in Lists<Nodes>]: keyof Nodes[L]["after"] }[Lists<Nodes>] ? never : K
    : never
}[Lists<Nodes>]

type Value<N extends AnyNode, P> = P extends "continue" ? Exit.Exit<Success<N>, Failure<N> | Ended> : Success<N>
type Input<N extends AnyNode, P> = N["isList"] extends true ? ReadonlyArray<Value<N, P>>
  : P extends "ignore" ? Option.Option<Success<N>>
  : Value<N, P>

/**
 * What a record of a node finds of those that it waited for, by node name.
 *
 * @category models
 * @since 0.1.0
 */
export type Inputs<Nodes extends AnyNodes, K extends keyof Nodes> = {
  readonly [D in keyof Nodes[K]["after"]]: D extends keyof Nodes ? Input<Nodes[D], Nodes[K]["after"][D]> : never
}

type Payload<N extends AnyNode> = N["isList"] extends true ? Iterable<N["job"]["payloadSchema"]["~type.make.in"]>
  : N["job"]["payloadSchema"]["~type.make.in"]

type Bare<Nodes extends AnyNodes> = {
  [K in keyof Nodes]: Nodes[K]["isList"] extends true ? never : void extends Payload<Nodes[K]> ? K : never
}[keyof Nodes]

/**
 * The payload of each node, an iterable of them for a list. A node without a payload may be left out.
 *
 * @category models
 * @since 0.1.0
 */
export type Payloads<Nodes extends AnyNodes> =
  & { readonly [K in Exclude<keyof Nodes, Bare<Nodes>>]: Payload<Nodes[K]> }
  & { readonly [K in Bare<Nodes>]?: Payload<Nodes[K]> }

type Encoding<Nodes extends AnyNodes> = { [K in keyof Nodes]: Nodes[K]["job"]["payloadSchema"]["EncodingServices"] }[
  keyof Nodes
]
type Decoding<N extends AnyNode> =
  | N["job"]["successSchema"]["DecodingServices"]
  | N["job"]["errorSchema"]["DecodingServices"]
type InputServices<Nodes extends AnyNodes, K extends keyof Nodes> = {
  [D in keyof Nodes[K]["after"]]: D extends keyof Nodes ? Decoding<Nodes[D]> : never
}[keyof Nodes[K]["after"]]

type HandleOf<N extends AnyNode> = JobHandle<
  Success<N>,
  Failure<N>,
  N["job"]["progressSchema"]["Type"],
  Decoding<N>,
  N["job"]["progressSchema"]["DecodingServices"]
>

/**
 * How many records are in which state.
 *
 * @category models
 * @since 0.1.0
 */
export type Counts = InternalCounts

/**
 * How a flow stands.
 *
 * @category models
 * @since 0.1.0
 */
export interface Status<Name extends PropertyKey> {
  /** Every record of it has ended. */
  readonly isFinished: boolean
  readonly counts: Counts
  readonly nodes: { readonly [K in Name]: Counts }
}

/**
 * A part of a flow: a node with all that waits for it (`from`), or with all that it waits for (`to`), directly or through
 * others. All of it without either.
 *
 * @category options
 * @since 0.1.0
 */
export interface Part<Name extends PropertyKey> {
  /**
   * The node with which the part begins, itself included.
   *
   * @default every node
   */
  readonly from?: Name | undefined
  /**
   * The node with which the part ends, itself included.
   *
   * @default every node
   */
  readonly to?: Name | undefined
}

/**
 * Options of a start. What is given holds for every record of the flow.
 *
 * @category options
 * @since 0.1.0
 */
export interface StartOptions extends Omit<Job.EnqueueOptions, "idempotencyKey" | "unique"> {
  /**
   * While the last node's record of a flow that was started with this key is kept, in whatever state, the call answers
   * `Existing` with that flow.
   *
   * @default none
   */
  readonly idempotencyKey?: string | undefined
}

/**
 * A started flow.
 *
 * @category models
 * @since 0.1.0
 */
export interface Handle<Nodes extends AnyNodes> {
  /** Of the flow that has the key, when the start found another one. */
  readonly id: JobId
  readonly outcome: "Inserted" | "Existing" | "Deferred"
  /** The record of a node that is one. */
  readonly node: <K extends Exclude<keyof Nodes, Lists<Nodes>>>(name: K) => HandleOf<Nodes[K]>
  /** The records of a list, as many as there are by now. */
  readonly members: <K extends Lists<Nodes>>(
    name: K
  ) => Effect.Effect<ReadonlyArray<HandleOf<Nodes[K]>>, JobStoreError, JobStore>
  /**
   * The results of the nodes that nobody waits for, by name; fails as the first of these that fails. Interrupting the wait does
   * not cancel the flow.
   */
  readonly await: Effect.Effect<
    {
      readonly [K in Ends<Nodes>]: Nodes[K]["isList"] extends true ? ReadonlyArray<Success<Nodes[K]>>
        : Success<Nodes[K]>
    },
    { [K in Ends<Nodes>]: Failure<Nodes[K]> }[Ends<Nodes>] | Ended | JobStoreError,
    JobStore | { [K in Ends<Nodes>]: Decoding<Nodes[K]> }[Ends<Nodes>]
  >
  /** Reads the flow's records in pages of 500. */
  readonly status: Effect.Effect<Status<keyof Nodes>, JobStoreError, JobStore>
  /** Cancels what waits and asks what runs to stop, what waits for others first. */
  readonly cancel: (
    options: Part<keyof Nodes> & { readonly reason: string }
  ) => Effect.Effect<
    { readonly changed: number; readonly requested: number },
    JobStoreError | JobControlError,
    JobStore
  >
  /**
   * Runs again what is dead or cancelled, what others wait for first. What is dead because of such a record comes along by
   * itself, and what has not begun waits for it again.
   */
  readonly retry: (
    part?: Part<keyof Nodes>
  ) => Effect.Effect<
    { readonly changed: number; readonly requested: number },
    JobStoreError | JobControlError,
    JobStore
  >
}

/**
 * A declared flow. Extend it as a class, so that editors show its name.
 *
 * @category models
 * @since 0.1.0
 */
export interface Flow<out Name extends string, Nodes extends AnyNodes> {
  new(_: never): {}
  /** @internal */
  readonly [TypeId]: Graph
  readonly _tag: Name

  /**
   * Adds a node that is one record. It may wait for nodes before it: a list of them, of which a failure is its own (`"fail"`), or
   * each with what its failure means.
   */
  node<const N extends string, J extends Job.Any, const After extends Waits<Nodes> = Empty>(
    name: Fresh<N, Nodes>,
    job: J,
    options?: { readonly after?: After & Known<After, Nodes> }
  ): Flow<Name, Nodes & { readonly [K in N]: Node<J, false, Edges<After>> }>

  /** Adds a node that is as many records as the start has payloads for it; more may be added while the flow runs. */
  list<const N extends string, J extends Job.Any, const After extends Waits<Nodes> = Empty>(
    name: Fresh<N, Nodes>,
    job: J,
    options?: { readonly after?: After & Known<After, Nodes> }
  ): Flow<Name, Nodes & { readonly [K in N]: Node<J, true, Edges<After>> }>

  /**
   * Stores all records of the flow in one call, all or none; in the caller's transaction on a store that shares it. Inside a
   * handler they become children of the attempt's record, and are refused with `LeaseLost` when the attempt is stale.
   */
  start(
    payloads: Payloads<Nodes>,
    options?: StartOptions
  ): Effect.Effect<Handle<Nodes>, EnqueueError | JobStoreError, JobStore | Encoding<Nodes>>

  /** The handle of a flow whose id was stored elsewhere. */
  handle(id: string): Handle<Nodes>

  /**
   * For the handler of a node: what its record waited for, by node name. A list has the order of the payloads of the start, then
   * what was added. A result that no longer decodes is a defect of the attempt.
   */
  results<K extends keyof Nodes>(
    name: K
  ): Effect.Effect<Inputs<Nodes, K>, JobStoreError, JobContext | JobStore | InputServices<Nodes, K>>

  /**
   * For the handler of a node: adds records to a list of its flow, for which whoever waits for the list waits too. An attempt
   * that runs again adds the same payloads once, and so does a call that is made again because it failed. `Begun` when one of
   * those that would wait has begun: so add from a node that they wait for. `UniqueConflict` when another record has the unique
   * key of one of them: nothing is added then, for nobody would wait for that record.
   */
  add<K extends Open<Nodes>>(
    name: K,
    payloads: Payload<Nodes[K]>
  ): Effect.Effect<
    ReadonlyArray<JobId>,
    EnqueueError | JobStoreError,
    JobContext | JobStore | Nodes[K]["job"]["payloadSchema"]["EncodingServices"]
  >
}

type Waits<Nodes> = { readonly [K in keyof Nodes]?: OnFailure } | ReadonlyArray<keyof Nodes>
type Known<After, Nodes> = After extends ReadonlyArray<unknown> ? unknown
  : { readonly [K in Exclude<keyof After, keyof Nodes>]: never }
type Edges<After> = After extends ReadonlyArray<infer K extends string> ? { readonly [N in K]: "fail" }
  : After extends object ? After
  : never
type Fresh<N extends string, Nodes> = N extends keyof Nodes ? never : N

/**
 * Declares a flow. Nodes are added one after another and wait for earlier ones alone, so an unknown node, a node twice and a
 * cycle do not compile, and throw where types are not checked.
 *
 * **Example**
 *
 * ```ts
 * class NightlyReport extends Flow.make("NightlyReport")
 *   .node("regions", ListRegions)
 *   .list("sales", SumSales, { after: ["regions"] })
 *   .node("report", WriteReport, { after: { sales: "continue" } })
 * {}
 *
 * const { id } = yield* NightlyReport.start({ sales: regions.map((region) => ({ region })), report: { day } })
 * ```
 *
 * **Gotchas**
 *
 * At least one node is a single record. The name of the flow and of a node are part of what is stored: what is renamed does not
 * find its records of before.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <const Name extends string>(name: Name): Flow<Name, Empty> =>
  declare(empty(name)) as unknown as Flow<Name, Empty>

/**
 * How a flow was declared when it was started: its nodes in the order of their declaration, and what each waits for.
 *
 * @category models
 * @since 0.1.0
 */
export interface Outline {
  readonly name: string
  /** The node whose record stands for the flow, and has its id. */
  readonly head: string
  readonly nodes: ReadonlyArray<{
    readonly name: string
    /** It is as many records as the start had payloads for it, and as were added. */
    readonly isList: boolean
    /** What it waits for, and what the failure of each means. */
    readonly after: Readonly<Record<string, OnFailure>>
  }>
}

/**
 * How the flow that a record stands for was declared, for whoever looks at flows without their code: a dashboard, a command
 * line. It is kept with the record whose id is the flow's.
 *
 * None of any other record, and of one that was stored before outlines were.
 *
 * @category accessors
 * @since 0.1.0
 */
export const outlineOf = (record: Pick<JobRecord, "headers">): Option.Option<Outline> => InternalOutline.decode(record)

type After = Readonly<Record<string, OnFailure>> | ReadonlyArray<string>

const isNames = (after: After): after is ReadonlyArray<string> => Array.isArray(after)

const edgesOf = (after: After): Readonly<Record<string, OnFailure>> =>
  isNames(after) ? Object.fromEntries(after.map((name) => [name, "fail"])) : after

/** The function that a class extends: its statics are the flow's operations. */
const declare = (graph: Graph): unknown => {
  const withOne =
    (isList: boolean) => (name: string, job: Job.Any, { after = {} }: { readonly after?: After | undefined } = {}) =>
      declare(withNode(graph, { name, job, isList, after: edgesOf(after) }))
  const statics = {
    [TypeId]: graph,
    _tag: graph.name,
    node: withOne(false),
    list: withOne(true),
    start: (payloads: Readonly<Record<string, unknown>>, options?: StartOptions) =>
      Effect.map(start(graph, payloads, options ?? {}), (started) => new InternalHandle(graph, started)),
    handle: (id: string) => new InternalHandle(graph, { id: id as JobId, outcome: "Existing" }),
    results: (name: string) => results(graph, name),
    add: (name: string, payloads: Iterable<unknown>) => add(graph, name, [...payloads])
  }
  return Object.assign(function() {}, statics)
}
