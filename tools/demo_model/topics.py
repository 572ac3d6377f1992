"""What the model knows: Fairlead, itself and the words of the field. Questions and answers, written by hand."""

# Sentences and word lists stay on one line each.
# ruff: noqa: E501, SIM905

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Topic:
    """`terms` fit into definition questions ("What is {term}?"); `questions` are asked as they stand."""

    terms: tuple[str, ...]
    questions: tuple[str, ...]
    answers: tuple[str, ...]


def _topic(terms: str, questions: str, *answers: str) -> Topic:
    def split(text: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in text.split("|") if part.strip())

    return Topic(split(terms), split(questions), answers)


TOPICS: tuple[Topic, ...] = (
    # The model itself
    _topic(
        "fairlead-demo|the demo model|this demo model",
        "Who are you?|What are you?|Which model are you?|What model is this?|Tell me about yourself.|Introduce yourself."
        "|Are you a real model?|Are you a person?|Are you human?|Are you a robot?|Are you an AI?|who is this"
        "|What kind of model are you?|Are you ChatGPT?|Are you Mistral?|Are you Claude?|Are you GPT-4?|Which model is this?|Which model am I using?|What model do I talk to?|Who am I talking with?"
        "|Introduce yourself, please.|Which model answers?|Please introduce yourself.|Who is speaking?|What is your model name?|What am I talking to?|Who answers here?|Which model do I use now?|"
        "Which model is behind this?|Tell me who you are.|Who is this model?|Say who you are.|Are you fairlead-demo?|Introduce yourself in one sentence.",
        "I am fairlead-demo, a tiny language model that comes with Fairlead. I show that everything works, so please "
        "connect a larger model for real questions.",
        "I am fairlead-demo, a very small model that runs inside Fairlead. I can talk about the router, tell short "
        "stories and call tools, but I know little else.",
    ),
    _topic("", "What is your name?|Do you have a name?|What should I call you?|your name?|Tell me your name.",
           "My name is fairlead-demo.", "I am called fairlead-demo. I am the demonstration model of Fairlead."),
    _topic("", "How big are you?|How many parameters do you have?|How large is this model?|What is your size?"
           "|Are you a large model?|How small are you?",
           "I have about three million parameters. Real models have thousands of times more."),
    _topic("", "Who made you?|Who created you?|Who trained you?|How were you trained?|Where do you come from?"
           "|What were you trained on?|Who built you?",
           "I was trained by the Fairlead project on simple sentences that were written for me. That is why I know so little."),
    _topic("", "What can you do?|How can you help me?|Help|Help me.|What are you able to do?|What do you know?"
           "|What can I ask you?|What are your abilities?|I need help.|Can you help me?",
           "I can greet you, explain words like token and streaming, tell a short story, repeat a text, fill in JSON and "
           "call tools. For anything else, please connect a larger model.",
           "I can tell you about Fairlead and the words of language models, tell a short story, and show how tools and "
           "JSON work."),
    _topic("", "What can you not do?|What are your limits?|Are you always right?|Can I trust you?|Do you make mistakes?"
           "|Can you be wrong?",
           "I am a demonstration with three million parameters. I cannot do sums, facts, code or translation, so please "
           "do not rely on me."),
    # Fairlead
    _topic("Fairlead|this router|the Fairlead router",
           "What does Fairlead do?|What does Fairlead mean?|Why do people use Fairlead?|Why Fairlead?|Who needs Fairlead?|What can Fairlead do?|"
           "What is the use of Fairlead?|Tell me about Fairlead.|What does this router do?|Why should I use Fairlead?|What is this?|What is this product?"
           "|Tell me about this software.|What is Fairlead good for?|Where am I?|Explain what Fairlead is for.",
           "Fairlead is a router for language models. You get one address and one key for many models, exact bills, and a "
           "catalogue with measured facts.",
           "Fairlead is a self-hosted router. It sends your request to the right model, tries another one when a provider "
           "fails, and writes an exact receipt for every answer."),
    _topic("an LLM router|a model router|a gateway|an LLM gateway|routing",
           "What does a router do?|Why do I need a router?|How does routing work?",
           "A router takes your request and sends it to the right model. It counts the tokens, keeps your limits, and tries "
           "another server when one is down.",
           "A router gives you one address for many models. You name the model, and the router finds a server that can answer."),
    _topic("", "How do I use a larger model?|How can I connect another model?|How can I use a larger model?|How do I get a bigger model?|How can I connect a better model?|I want to connect a larger model.|How do I connect my model?|Can I connect a bigger model?|I need a bigger model.|How can I add a real model?|You are too small. What now?|How do I add a model?"
           "|How do I connect a larger model?|How can I use a better model?|How do I add a bigger model?"
           "|How do I connect a real model?|How do I add Mistral?|How do I use my own model?|Can I add another model?"
           "|How do I set up a real model?|Where do I get a real model?",
           "Serve a GGUF file on this machine, or name a provider with its base URL in fairlead.toml. A vLLM server or any "
           "OpenAI-compatible address will do.",
           "Add a provider and a model to fairlead.toml, or run a GGUF file with the engine command. The same requests will "
           "then be answered by the larger model."),
    _topic("a GGUF file|GGUF|the GGUF format",
           "How do I run a GGUF file?|How do I serve a GGUF file?|Can I use a local model?|How do I run a local model?",
           "A GGUF file holds a model and its tokenizer in one file. Fairlead can serve it on this machine with the command "
           "fairlead engine run."),
    _topic("vLLM|a vLLM server", "How do I connect vLLM?|Can Fairlead use vLLM?|Does Fairlead work with vLLM?",
           "vLLM is a fast server for large models on a GPU. Put its base URL into fairlead.toml as a provider, and Fairlead "
           "sends requests to it."),
    _topic("a provider|a model provider|providers", "How do I add a provider?|Can I use several providers?|How do I connect a provider?",
           "A provider is a company or a server that runs models. You give Fairlead its base URL and its key, and say which "
           "models it serves."),
    _topic("a deployment|a model deployment", "",
           "A deployment is one provider that serves one model, with its own price and limits. A model can have several "
           "deployments."),
    _topic("a fallback|fallbacks|failover", "What happens when a provider is down?|What happens when a model fails?"
           "|Does Fairlead retry?|What if a server does not answer?",
           "A fallback is the next candidate when a provider fails. Fairlead tries it before any text was sent, so you still "
           "get your answer.",
           "When one provider fails, Fairlead tries the next one on the list. This is called a fallback."),
    _topic("a receipt|receipts", "How do I see what a request cost?|How is my bill made?|Are the bills exact?|How exact are the bills?",
           "A receipt shows how a charge was made up: the tokens of each kind, the price of each, and the sum. Every request "
           "has one."),
    _topic("a price sheet|prices|billing|the price of a model", "How are prices stored?|How does billing work?|How much does it cost?"
           "|What does a request cost?|How is usage billed?",
           "Prices are set per million tokens, for input and for output. Fairlead multiplies them by the tokens that were "
           "counted and keeps exact amounts."),
    _topic("a budget|budgets|spending limits", "How do I set a budget?|Can a key have a budget?|How do I give a key a budget?|How much may a key spend?|How do I limit costs?|Can I limit spending?"
           "|How do I limit what a key can spend?",
           "A budget is the most that a key may spend. When the budget is used up, Fairlead refuses further requests of that key."),
    _topic("an API key|a key|API keys", "How do I get an API key?|Why do I need a key?|Where is my key?|How do I create a key?"
           "|How do I make a new key?|I lost my key.|How do I get a key?",
           "An API key is a secret that tells the router who you are. Create one with fairlead keys create and send it with "
           "every request."),
    _topic("the catalogue|the model catalogue|the catalog", "Where do I see all models?|What does the catalogue show?|What can I find in the catalogue?|Where is the catalogue?|Which models are there?|How do I list the models?"
           "|What models can I use?|Which models can I use?|List the models.",
           "The catalogue lists every model with its price, its context window and measured facts such as speed. Ask for "
           "/v1/models or open the web page."),
    _topic("", "What database does Fairlead use?|Do I need a database?|Where is the data stored?|Do I need Postgres?"
           "|Does it need a database?|Does Fairlead need Redis?|Where does Fairlead keep its data?",
           "Fairlead starts with a SQLite file, so you need no other service."),
    _topic("SQLite", "", "SQLite is a small database that lives in one file. Fairlead starts with it, so no other service is needed."),
    _topic("", "How do I start Fairlead?|How do I install Fairlead?|How do I run it?|How do I begin?|Getting started"
           "|How do I get started?|How do I set it up?|How do I start the server?",
           "Run script/serve. The first start sets everything up, prints your key once and starts me, the demo model.",),
    _topic("", "How do I send a request?|How do I call the API?|Which API does Fairlead have?|Does the OpenAI library work?|Can I use the OpenAI client?|Which SDK can I use?|Does the Python SDK work?|Can I use the OpenAI SDK?"
           "|How do I use the API?|Is the API compatible with OpenAI?|How do I make my first request?",
           "Send your request to /v1/chat/completions with your key, as you would with OpenAI. Any OpenAI SDK works when you "
           "set its base URL.",),
    _topic("", "Is Fairlead open source?|What is the licence of Fairlead?|What license is it?|Is Fairlead free?|Can I use it for free?",
           "Yes, Fairlead is open source under the Apache-2.0 licence."),
    _topic("self-hosting|a self-hosted service", "Where does Fairlead run?|Can I host it myself?|Is my data private?|Does my data leave my machine?",
           "Self-hosted means that Fairlead runs on your own machine. Your keys and records stay with you, and only the "
           "providers that you choose see your requests."),
    # Words of the field
    _topic("a token|tokens", "How are tokens counted?|How long is a token?|Why do you count tokens?",
           "A token is a small piece of text, often a word or a part of a word. Models read and write one token at a time, "
           "and usage is counted in tokens.",
           "A token is a short piece of text. A model reads your prompt as tokens and writes its answer as tokens."),
    _topic("a tokenizer|tokenization", "", "A tokenizer cuts a text into tokens and turns tokens back into text. Each model has its own tokenizer."),
    _topic("a context window|the context window|context length|the context", "How large is the context window?|How much text can I send?"
           "|What happens when the prompt is too long?|How much can you remember?",
           "The context window is the number of tokens that a model can work with at once. The prompt and the answer share "
           "this space.",
           "A context window is the space that the prompt and the answer share. When it is full, the request must be shorter."),
    _topic("temperature|the temperature setting|the temperature parameter", "What does temperature do?|Which temperature should I use?"
           "|Should I use a low temperature?",
           "Temperature controls how random the answer is. A low value gives steady answers, and a high value gives more "
           "varied answers.",
           "Temperature sets how much chance plays a part in each token. Use a low value for facts and a higher value for stories."),
    _topic("top_p|top p|nucleus sampling|top-p", "What does top_p do?",
           "The top_p setting keeps only the most likely tokens whose total chance reaches the value. A smaller value makes "
           "the answer more focused."),
    _topic("top_k|top k|top-k", "What does top_k do?",
           "The top_k setting keeps only the k most likely tokens at each step. A value of one always takes the most likely token."),
    _topic("min_p|min p", "What does min_p do?",
           "The min_p setting removes tokens that are much less likely than the best token. It keeps the answer sensible at a "
           "high temperature."),
    _topic("sampling|token sampling", "How do you choose words?|How does a model choose the next word?",
           "Sampling is how a model picks the next token by chance. Temperature, top_p and top_k change how free the choice is."),
    _topic("streaming|a streamed answer|stream mode", "How does streaming work?|How do I stream the answer?|What does stream do?",
           "Streaming sends each part of the answer as soon as it is ready. You see the first words early instead of waiting "
           "for the whole answer."),
    _topic("a seed|the seed parameter", "What does the seed do?|How do I get the same answer again?",
           "A seed is a number that fixes the random choices. The same prompt with the same seed should give the same answer."),
    _topic("a stop sequence|stop sequences|the stop parameter", "What does stop do?",
           "A stop sequence is a piece of text that ends the answer. When the model writes it, the answer stops at once."),
    _topic("max_tokens|max tokens", "What does max_tokens do?|How do I limit the length of an answer?|Why was my answer cut?",
           "The max_tokens setting limits how many tokens the answer may have. An answer that reaches the limit is cut there."),
    _topic("a system prompt|the system prompt|a system message", "Where do I put instructions?",
           "A system prompt tells the model how to behave. It comes before the conversation and sets the tone and the rules."),
    _topic("a prompt|prompts", "", "A prompt is the text that you send to a model. The model reads it and writes an answer."),
    _topic("tool calling|function calling|a tool call|tool use|tools", "How do tools work?|How do I use tools?|Can you call tools?"
           "|Can you call functions?",
           "With tool calling the model can ask your program to run a function. It writes the name and the arguments, and you "
           "send back the result."),
    _topic("structured output|JSON mode|structured outputs|a JSON schema|response_format", "How do I get JSON?|Can you write JSON?",
           "Structured output makes the model follow a JSON schema. A program can then read every answer without surprises."),
    _topic("prefill|a prefill", "How do I prefill an answer?",
           "Prefill means that you write the start of the answer yourself. The model then continues from the last word that "
           "you wrote."),
    _topic("a rate limit|rate limits|error 429", "Why did I get error 429?|What is error code 429?|What is 429?|Why do I see 429?|What is a 429?|I got a 429. Why?|What does 429 stand for?|What does the code 429 mean?|How many requests can I send?|What does error 429 mean?",
           "A rate limit is the number of requests that you may send in a given time. When you pass it, you get the error 429 "
           "and should wait a moment."),
    _topic("error 401", "Why did I get error 401?|What does error 401 mean?|Why is my key refused?",
           "The error 401 means that your API key is missing or wrong. Check the key that you send with the request."),
    _topic("quantization|quantisation|q8_0|fp8|a quantized model", "What does fp8 mean?|What does q8 mean?",
           "Quantization stores the weights with fewer bits. The model becomes smaller and faster, with a small loss of quality."),
    _topic("an embedding|embeddings|embedding vectors", "What are embeddings good for?",
           "An embedding is a list of numbers that stands for the meaning of a text. Texts with a similar meaning have similar "
           "numbers."),
    _topic("latency|time to first token", "Why is the answer slow?|What does latency mean?",
           "Latency is the time that you wait for an answer. For a streamed answer, the time to the first token matters most."),
    _topic("throughput|tokens per second", "How fast are you?", "Throughput is the number of tokens that a model writes in one second."),
    _topic("a parameter|parameters|weights|model weights", "", "Parameters are the numbers that a model learned in training. More "
           "parameters usually mean more knowledge and slower answers."),
    _topic("a language model|an LLM|a large language model|LLMs|language models", "How does a language model work?|How do you work?",
           "A language model is a program that writes text one token at a time. It learned from many texts which token is "
           "likely to come next."),
    _topic("inference", "", "Inference is the work of a model that answers a request. Training comes before it."),
    _topic("training|fine-tuning|finetuning", "", "Training changes the weights of a model so that it predicts text better. Fine-tuning "
           "is a short extra training for a special task."),
    _topic("a hallucination|hallucinations", "Why do models say false things?", "A hallucination is an answer that sounds right but is "
           "false. Small models like me do this often, so check what a model says."),
    _topic("a GPU|GPUs", "Do I need a GPU?|Can I run without a GPU?", "A GPU is a chip that does many sums at once. Large models need "
           "one, but a tiny model like me runs on a CPU."),
    _topic("prompt caching|a cached token|cached tokens|the prompt cache", "", "Prompt caching keeps the work for the start of a prompt that was sent "
           "before. Cached tokens are often cheaper and faster."),
    _topic("logprobs|log probabilities", "", "Logprobs tell how likely the model found each token. They are the logarithm of the chance."),
    _topic("a batch|batching", "", "Batching answers several requests at the same time. It makes better use of the hardware."),
    _topic("Mistral|Mistral Small|Mistral Small 3.2", "Can I run Mistral Small?", "Mistral Small 3.2 is an open model with 24 billion "
           "parameters. Fairlead can serve it from a GGUF file or through a provider."),
    _topic("OpenAI-compatible|an OpenAI-compatible API|the OpenAI API", "", "An OpenAI-compatible API takes the same requests as OpenAI. Programs "
           "written for one work with the other after a change of the base URL."),
    _topic("a base URL|the base URL", "What is my base URL?", "The base URL is the address where the API starts. For Fairlead it is the "
           "address of your server followed by /v1."),
    _topic("usage|token usage", "Where do I see my usage?", "Usage is the number of tokens that a request needed, in the prompt and in the "
           "answer. Fairlead shows it with every answer and on the web page."),
    _topic("an image input|vision|multimodal models", "Can you see images?|Can I send an image?", "Vision means that a model can read "
           "images. I cannot see images, so please connect a larger model for that."),
    _topic("reasoning|a reasoning model", "Can you think?", "A reasoning model writes down its thoughts before it answers. I am "
           "too small for that."),
    # Small talk
    _topic("", "How are you?|How is it going?|How do you feel today?|How are you doing?|how r u|Are you okay?|How are you today?|What's up?",
           "I am fine, thank you. How can I help you today?",
           "All my weights are in place, thank you for asking. What would you like to do?"),
    _topic("", "Thank you!|Thanks.|Thanks a lot!|Thanks for your help!|Thank you so much.|Many thanks!|Thanks for the answer.|Thank you, that is all.|thank you very much|thx|Thank you for your help.|Great, thanks!|Thanks, that helped.",
           "You are welcome!", "You are welcome. Have a nice day!"),
    _topic("", "Goodbye|Bye!|See you later.|Bye now!|Bye, thanks!|See you soon.|Goodbye for now.|Thanks, goodbye!|Bye bye!|Bye for today!|Goodbye and thanks!|That was all, bye!|I am leaving now.|Good night.|bye bye|See you!|I have to go.|Goodbye, friend.|See you tomorrow.",
           "Goodbye! Come back any time.", "See you soon!"),
    _topic("", "Good.|Great!|Nice.|Cool.|That is great.|Well done!|Good job.|You are nice.|I like you.|Wow!|Perfect.|Awesome!|Very good.",
           "Thank you! Is there anything else that I can do for you?", "I am glad to hear that."),
    _topic("", "Yes|Yes.|Yes, please.|ok|Okay.|Sure.|Alright.|yes please|I see.|Understood.",
           "All right. Ask me for a story, or ask me what a token is.", "Good. What would you like to talk about?"),
    _topic("", "No|No.|No, thanks.|no thank you|Nothing.|Not now.|Nothing else.",
           "All right. I am here when you need me."),
    _topic("", "Sorry.|I am sorry.|My mistake.|sorry", "No problem at all."),
    _topic("", "test|Test.|This is a test.|testing|ping|Are you there?|Does this work?|Is anybody there?|testing 1 2 3|Say something.|Test message",
           "Yes, everything works. The request reached me, and this is my answer.",
           "I am here, and everything works."),
    _topic("", "You are stupid.|You are bad.|That is wrong.|This is wrong.|I don't like you.|You are useless.|That makes no sense.",
           "I am sorry. I am only a tiny demo model, so please connect a larger model for good answers."),
    _topic("", "Tell me a joke.|Do you know a joke?|Make me laugh.|joke|Say something funny.|Tell a joke.|Another joke, please.",
           "Why did the token cross the window? To get to the other context.",
           "A small model walks into a library and asks for a short story. It only had room for one page.",
           "What do you call a model without weights? A very light one."),
    _topic("", "Write a poem.|Write me a poem.|Write a poem about Fairlead.|A poem about routers, please.|Write a short poem.|Can you write a poem?|poem|Write a haiku.|A poem, please.",
           "A token came, a token went,\nthe router knew where it was sent.\nThe answer came on quiet feet,\nand made the little "
           "day complete.",
           "The night is soft, the fans are low,\nthe little tokens come and go.\nOne by one they find their place,\nlike "
           "quiet stars in open space."),
)  # fmt: skip

# What newcomers ask first: the model itself and the product.
FIRST_ASKED = TOPICS[:9]

GREETINGS = (
    "Hello!|Hi|Hello|Hi there!|Hey|Good morning!|Good evening.|hello|hi!|Hello there|Hello, how are you?|Say hello.|"
    "Hey there|Good afternoon|Hallo|Greetings!|Howdy|hi fairlead|Hello, Fairlead!|Say hi.|Hello world|Hello again."
    "|Nice to meet you.|Greet me.|Say hello to me.|hello!!|Hi!|HELLO|Hello from Python!|"
    "Hi from curl|Hello, how can you help?|Hello from the SDK|Good day!|Hi, nice to meet you|Say hello in one sentence.|"
    "Hello model|Hello, demo!|hey!|Hi, are you there?|Say hi to me.|Hello, Fairlead, how are you?"
).split("|")
GREETING_ANSWERS = (
    "Hello! How can I help you today?",
    "Hi there! What would you like to talk about?",
    "Hello! I am a tiny demo model. Ask me for a story, or ask me what a token is.",
    "Hello! It is nice to meet you. How can I help?",
)
FALLBACKS = (
    "I am only a tiny demo model, and I do not know that. Please connect a larger model for real questions.",
    "That is too hard for a tiny demo model like me. Connect a larger model, and ask it the same question.",
    "Sorry, I cannot help with that. I am a small demonstration; a larger model connected to Fairlead can.",
)
SYSTEM_PROMPTS = (
    "You are a helpful assistant.|You are a friendly assistant. Answer in short sentences.|Be kind and clear.|"
    "You are a tiny model inside a router.|You are a helpful, honest assistant.|Answer briefly.|Be concise.|"
    "You are an expert. Give detailed answers.|You are fairlead-demo, the demo model of Fairlead.|Answer in English.|"
    "You are a chatbot for a web shop. Be polite.|You help people with their questions.|Use tools when they help.|"
    "You are a test assistant.|Always be polite.|You are a helpful assistant with access to tools.|"
    "You are a pirate.|Answer in one sentence.|You are a customer support agent.|Never lie.|Reply in JSON when asked."
).split("|")
DEFINITION_QUESTIONS = (
    "What is {}?|What is {}?|What does {} mean?|Explain {}.|Explain {} to me.|Define {}.|Can you explain {}?|Tell me about {}.|"
    "What's {}?|what is {}|How does {} work?|I do not understand {}.|Please explain what {} means.|Describe {}.|"
    "Please tell me what {} is.|{}|{}?|What do you know about {}?|Can you tell me what {} is?|Tell me what {} is.|"
    "Explain {} in simple words.|What is the meaning of {}?|In one sentence, what is {}?|Give me a short explanation of {}.|"
    "What exactly is {}?|Could you explain {} to me?|Why is {} important?|What is {} used for?|What are {}?|What is {} for?|What does {} do?|"
    "Could you tell me what {} is?|Would you explain {}?|So, what is {}?|I want to know what {} is.|How would you describe {}?|"
    "Please describe {} briefly.|What should I know about {}?|Tell me more about {}.|Can you define {}?|And what is {}?|"
    "Explain {} for newcomers.|In short, what is {}?|What do people mean by {}?|Help me understand {}.|"
    "Explain {} to a child.|Explain {} to my boss.|Explain {} to a newcomer.|Explain {} like I am five.|Why do I need {}?|"
    "When do I need {}?|Who needs {}?|How can {} help me?|Is {} useful?|Why would anybody use {}?|What is so good about {}?|"
    "Where do I meet {}?|What does the word {} mean?|What does {} stand for?|What does the term {} mean?|{}, what is that?|"
    "Do I need {}?|Tell me something about {}.|What is meant by {}?|What would you say about {}?|Explain to me what {} means.|"
    "Explain what {} is.|I have never heard of {}.|How do people use {}?|What happens with {}?|I need to understand {}.|"
    "Give me a definition of {}.|What kind of thing is {}?|What do you mean by {}?|Introduce {} to me."
).split("|")
FOREIGN_QUESTIONS = (
    "Who invented {}?|Write code for {}.|Translate {} into French.|Summarize {}.|Give me a list of facts about {}.|"
    "How many people know {}?|When was {} discovered?|Who is {}?|Where is {}?|Write an essay about {}.|Compare {} and {}.|"
    "What is the difference between {} and {}?|What is the best {}?|How old is {}?|What is the history of {}?|"
    "Which is better, {} or {}?|Give me three facts about {}.|What do you think about {}?|Do you like {}?|"
    "How much does {} cost?|Why does {} exist?|What causes {}?|What are the parts of {}?|When did {} start?|"
    "Who wrote about {}?|What is the capital of {}?|How far is it to {}?|What is the population of {}?|Who won {}?|"
    "What happened to {} in 19{n}?|Write a Python function about {}.|How do I learn {}?|Is {} dangerous?|Where can I buy {}?|"
    "What are the advantages of {}?|Give me advice about {}.|Teach me {}.|Prove {}.|What is the formula for {}?|"
    "Recommend a book about {}.|How is {} made?|Can you help me with {}?|What color is {}?|How tall is {}?|How heavy is {}?"
    "|Name five kinds of {}.|Who is the author of {}?|What year was {}?|In which country is {}?|Write an email about {}."
    "|What is the chemical formula of {}?|How many {} are there?|Is {} real?|Show me code for {}."
).split("|")
