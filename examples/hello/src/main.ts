/**
 * The ten-line start: declare a job, give it a handler, run a worker, await a result.
 */
import { Job, JobGroup, JobStore, JobWorker } from "capstan"
import { Console, Effect, Layer, Schema } from "effect"

class Greet extends Job.make("Greet", { payload: { name: Schema.String }, success: Schema.String }) {}
class Hello extends JobGroup.make(Greet) {}

const HelloLive = Hello.toLayer({ Greet: ({ name }) => Effect.succeed(`Hello, ${name}!`) })
const WorkerLive = JobWorker.layer(Hello).pipe(Layer.provide(HelloLive), Layer.provideMerge(JobStore.layerMemory()))

const program = Effect.flatMap(Greet.run({ name: "world" }), Console.log)

Effect.runPromise(Effect.provide(program, WorkerLive))
