// Written by `npm run docs`: the example of `layer` of @capstan/http/Webhook.
import { Effect } from "effect"
import { MarkPaid, decodeEvent, secret } from "./setting.ts"
import { Webhook, WebhookScheme } from "@capstan/http"

export const run = () => {
  const StripeHook = Webhook.layer({
    path: "/webhooks/stripe",
    scheme: WebhookScheme.stripe({ secret }),
    handle: ({ text }) =>
      Effect.flatMap(decodeEvent(text), (event) =>
        event.type === "invoice.paid" ? Webhook.enqueue(MarkPaid, { invoice: event.data.object.id }) : Webhook.ignored)
  })
}
