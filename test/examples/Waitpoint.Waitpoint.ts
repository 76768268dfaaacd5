// Written by `npm run docs`: the example of `Waitpoint` of capstan/Waitpoint.
import { Schema } from "effect"
import { Waitpoint } from "capstan"

export const run = () => {
  class Approval extends Waitpoint.make("Approval", { success: Schema.Struct({ by: Schema.String }) }) {}
}
