# A sample of who may do what, put in the place of its line ". lib/access.sh" when a plan is made. Scripts that use it have
# ACCESS, the questions as the plan has them: lines of users, places and what is asked.

# with|without: the questions as documents, with the groups that MKE 3 gave its users or without. Local users of MKE 4k
# have none, which is why members of teams are bound by name.
questions() {
    awk -v groups="$1" '
        function ask(user, of, word, place) {
            printf "---\n{\"apiVersion\": \"authorization.k8s.io/v1\", \"kind\": \"SubjectAccessReview\", \"spec\": "
            printf "{\"user\": \"%s\", \"groups\": %s, \"resourceAttributes\": ", user, of
            printf "{\"verb\": \"%s\", \"group\": \"%s\", ", word[2], word[3] == "-" ? "" : word[3]
            printf "\"resource\": \"%s\", \"namespace\": \"%s\"}}}\n", word[4], place == "-" ? "" : place
        }
        $1 == "user" {
            users[++user] = $2
            list = $0
            sub(/^user [^ ]* /, "", list)
            of[user] = groups == "with" ? list : "[\"system:authenticated\"]"
        }
        $1 == "place" { places[++place] = $2 }
        $1 == "ask" { asks[++asked] = $0 }
        END {
            for (u = 1; u <= user; u++) for (a = 1; a <= asked; a++) {
                split(asks[a], word, " ")
                if (word[5] == "cluster") ask(users[u], of[u], word, "-")
                else for (p = 1; p <= place; p++) ask(users[u], of[u], word, places[p])
            }
        }' "$ACCESS"
}

# How many questions there are; $count.
count_questions() { count=$(questions with | grep -c '^---'); }

# A line for each answer: USER|NAMESPACE|VERB|GROUP|RESOURCE|true or false.
answers='jsonpath={.spec.user}|{.spec.resourceAttributes.namespace}|{.spec.resourceAttributes.verb}|{.spec.resourceAttributes.group}|{.spec.resourceAttributes.resource}|{.status.allowed}{"\n"}'
