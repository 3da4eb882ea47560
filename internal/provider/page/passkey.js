for (const form of document.querySelectorAll("form[data-passkey]")) {
  const [button, problem, get] = [form.querySelector("button"), form.querySelector("[role=alert]"), form.dataset.passkey == "get"]
  const bytes = text => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), c => c.charCodeAt(0))
  const text = buffer => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "")
  const asked = JSON.parse(form.dataset.options)
  asked.challenge = bytes(asked.challenge)
  if (asked.user) asked.user.id = bytes(asked.user.id)
  for (const one of [...asked.allowCredentials || [], ...asked.excludeCredentials || []]) one.id = bytes(one.id)
  button.hidden = !window.PublicKeyCredential
  problem.hidden = !button.hidden
  form.addEventListener("submit", async event => {
    event.preventDefault()
    button.disabled = true
    problem.hidden = true
    try {
      const made = await navigator.credentials[get ? "get" : "create"]({publicKey: asked})
      const response = {}
      for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"])
        if (made.response[name]) response[name] = text(made.response[name])
      if (made.response.getTransports) response.transports = made.response.getTransports()
      form.elements.credential.value = JSON.stringify({
        id: made.id, rawId: text(made.rawId), type: made.type, response,
        authenticatorAttachment: made.authenticatorAttachment || "", clientExtensionResults: {},
      })
      form.submit()
    } catch {
      button.disabled = problem.hidden = false
    }
  })
}
